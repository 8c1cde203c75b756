-- Counts a queue. KEYS: f c lim d r w s; ARGV: now, concurrent, rate, window, nobody, domain
-- Answer: {ready, claimed, ms of the oldest, wish, count, ...}
local SPAN = 10000000000000
local r, domain = KEYS[5], ARGV[6]
expire(KEYS[1], KEYS[2], r, domain, now)
local claimed, oldest, from = 0, nil, '-inf'
for _, claim in ipairs(redis.call('HVALS', KEYS[2])) do
  if string.match(claim, '^%-?%d*%z(.*)%z') == domain then
    claimed = claimed + 1
  end
end
-- The head of each priority class.
while true do
  local head = redis.call('ZRANGEBYSCORE', r, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not head[1] then
    break
  end
  local class = math.floor(tonumber(head[2]) / SPAN)
  local ms = tonumber(head[2]) - class * SPAN
  oldest = math.min(oldest or ms, ms)
  from = text((class + 1) * SPAN)
end
return {redis.call('ZCARD', r), claimed, text(oldest or 0), unpack(redis.call('HGETALL', KEYS[6]))}
