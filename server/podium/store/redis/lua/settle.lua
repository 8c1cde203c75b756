-- Claims' leases are stored: a slot stays until it is released, another claim is gone.
-- KEYS: f c; ARGV: task, "1" = it occupies a slot, claimant, ...
for at = 1, #ARGV, 3 do
  local task = ARGV[at]
  local claim = redis.call('HGET', KEYS[2], task)
  local own = claim and string.match(claim, '%z([^%z]*)$') == ARGV[at + 2]
  if own then
    redis.call('HDEL', KEYS[2], task)
  end
  if ARGV[at + 1] == '1' then
    redis.call('ZADD', KEYS[1], 'inf', task)
    redis.call('HDEL', KEYS[2], task)
  elseif own then
    redis.call('ZREM', KEYS[1], task)
  end
end
return 1
