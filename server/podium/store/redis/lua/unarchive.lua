-- Deletes the copy of an execution that was removed.
-- KEYS: arc arcs chg
-- ARGV: workflow id, "1" to note the change for the index
-- Answer: 1, or 0 where there is none
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[3], 0, ARGV[1])
end
return 1
