-- Forbids an execution that does not exist yet.
-- KEYS: x tomb; ARGV: ms at which it ends. Answer: 1, or 0 where the execution exists
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[2], '1')
redis.call('PEXPIREAT', KEYS[2], ARGV[1])
return 1
