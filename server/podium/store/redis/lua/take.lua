-- Takes the oldest messages. KEYS: mail; ARGV: how many at most. Answer: {message, ...}
local messages = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
redis.call('LTRIM', KEYS[1], #messages, -1)
return messages
