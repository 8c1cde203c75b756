-- Notes that a worker asked. KEYS: p; ARGV: now ("" = the store's), domain and worker
local now = ARGV[1]
if now == '' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
return redis.call('HSET', KEYS[1], ARGV[2], now)
