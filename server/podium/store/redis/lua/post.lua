-- Leaves a message for a server. KEYS: mail; ARGV: message, messages kept, ms kept
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], '-' .. ARGV[2], -1)
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
