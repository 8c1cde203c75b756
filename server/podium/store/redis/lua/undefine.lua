-- Deletes a document. KEYS: rows names gen; ARGV: name, version, "1" = counted. Answer: 1, or 0
if redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then
  return 0
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[2], ARGV[1])
end
if ARGV[3] == '1' then
  redis.call('INCR', KEYS[3])
end
return 1
