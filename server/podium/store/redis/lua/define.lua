-- Puts a document. KEYS: rows names gen; ARGV: name, version, value, "1" = overwrite, "1" = counted
-- Answer: 1, or 0 where it exists
if ARGV[4] ~= '1' and redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[1])
if ARGV[5] == '1' then
  redis.call('INCR', KEYS[3])
end
return 1
