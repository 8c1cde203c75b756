-- A slot that turned out to be free is free.
-- KEYS: f; ARGV: task
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == 'inf' then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
