-- Keeps rows, each once. KEYS: rows seq; ARGV: rows kept, row...
for number = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[number]) then
    redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), ARGV[number])
  end
end
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, string.format('%.0f', -1 - tonumber(ARGV[1])))
