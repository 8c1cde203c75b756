-- Appends lines to a task's log. KEYS: x log l; ARGV: lines kept, task, line...
-- Answer: 1, or 0 where the execution does not exist
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if #ARGV > 2 then
  redis.call('SADD', KEYS[2], ARGV[2])
end
for number = 3, #ARGV do
  redis.call('RPUSH', KEYS[3], ARGV[number])
end
redis.call('LTRIM', KEYS[3], '-' .. ARGV[1], -1)
return 1
