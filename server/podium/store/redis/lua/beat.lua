-- A member's heartbeat.
-- KEYS: alive concerns; ARGV: now ("" = the store's), incarnation, its concerns ("" = as before)
-- Answer: {now, "1" = it was not on the list, incarnation, ms, concerns, ...}
local now = ARGV[1]
if now == '' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
local joined = string.format('%.0f', redis.call('HSET', KEYS[1], ARGV[2], now))
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
local answer, members = {now, joined}, redis.call('HGETALL', KEYS[1])
for at = 1, #members, 2 do
  answer[#answer + 1] = members[at]
  answer[#answer + 1] = members[at + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[2], members[at]) or ''
end
return answer
