-- A claim's lease is stored: a slot stays until it is released, another claim is gone.
-- KEYS: f c; ARGV: task, "1" = it occupies a slot
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], 'inf', ARGV[1])
elseif redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= 'inf' then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
