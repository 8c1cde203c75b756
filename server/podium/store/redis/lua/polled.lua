-- Who asked lately; what is older is forgotten. KEYS: p; ARGV: now ("" = the store's), ms kept
-- Answer: {domain and worker, ms, ...}
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local answer = {}
local seen = redis.call('HGETALL', KEYS[1])
for number = 1, #seen, 2 do
  if tonumber(seen[number + 1]) > now - tonumber(ARGV[2]) then
    answer[#answer + 1] = seen[number]
    answer[#answer + 1] = seen[number + 1]
  else
    redis.call('HDEL', KEYS[1], seen[number])
  end
end
return answer
