-- A member's heartbeat. KEYS: alive; ARGV: now ("" = the store's), incarnation
-- Answer: {now, incarnation, ms, ...}
local now = ARGV[1]
if now == '' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('HSET', KEYS[1], ARGV[2], now)
return {now, unpack(redis.call('HGETALL', KEYS[1]))}
