-- A claim's lease is stored: a slot stays until it is released, another claim is gone.
-- KEYS: f c; ARGV: task, "1" = it occupies a slot, claimant
local claim = redis.call('HGET', KEYS[2], ARGV[1])
local own = claim and string.match(claim, '%z([^%z]*)$') == ARGV[3]
if own then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], 'inf', ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
elseif own then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
