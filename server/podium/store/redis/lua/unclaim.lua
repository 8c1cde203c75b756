-- Ends a claim early, as the partition says it stands.
-- KEYS: f c r; ARGV: task, score where it is ready (else ""), "1" = it occupies a slot
local task = ARGV[1]
redis.call('HDEL', KEYS[2], task)
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], 'inf', task)
else
  redis.call('ZREM', KEYS[1], task)
end
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[2], task)
else
  redis.call('ZREM', KEYS[3], task)
end
return 1
