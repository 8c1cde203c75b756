-- Takes a member off the list, where its last heartbeat is still the one seen.
-- KEYS: alive concerns; ARGV: incarnation, ms seen ("" = whatever it is). Answer: 1, or 0
local present = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[2] ~= '' and present ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
