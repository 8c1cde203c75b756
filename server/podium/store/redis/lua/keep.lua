-- Keeps an output in the place of one that came out before it.
-- KEYS: the output's; ARGV: ms at which it came out, ms until which it is kept, value
local present = redis.call('HGET', KEYS[1], 'at')
if present and tonumber(present) > tonumber(ARGV[1]) then
  return 0
end
redis.call('HMSET', KEYS[1], 'at', ARGV[1], 'value', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1
