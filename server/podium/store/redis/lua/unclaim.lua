-- Ends a claim early, as the partition says it stands; a claim of another call is left alone.
-- KEYS: f c r; ARGV: task, score where it goes back to its place (else ""), "1" = it occupies a slot, claimant
local task = ARGV[1]
local claim = redis.call('HGET', KEYS[2], task)
if not claim or string.match(claim, '%z([^%z]*)$') ~= ARGV[4] then
  return 0
end
redis.call('HDEL', KEYS[2], task)
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], 'inf', task)
else
  redis.call('ZREM', KEYS[1], task)
end
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[2], task)
end
return 1
