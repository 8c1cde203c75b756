-- Frees a slot; then the best head that is waited for is handed out.
-- KEYS: f c lim d, then r w s of each domain; ARGV: now, concurrent, rate, window, claimant, task,
--   "1" = the slot is free indeed, domains...
-- Answer: as push | {} = nothing is ready | {"domains", name, ...} = the caller does not know all
local f, c, lim = KEYS[1], KEYS[2], KEYS[3]
local count = #ARGV - 7
if redis.call('SCARD', KEYS[4]) ~= count then
  return {'domains', unpack(redis.call('SMEMBERS', KEYS[4]))}
end
if ARGV[7] == '1' and redis.call('ZSCORE', f, ARGV[6]) == 'inf' then
  redis.call('ZREM', f, ARGV[6])
end
local heads = {}
for number = 1, count do
  local first = 2 + number * 3
  local keys = {f = f, c = c, lim = lim, r = KEYS[first], w = KEYS[first + 1], s = KEYS[first + 2]}
  local domain = ARGV[7 + number]
  expire(f, c, keys.r, domain, now)
  local head = redis.call('ZRANGE', keys.r, 0, 0, 'WITHSCORES')
  if head[1] then
    heads[#heads + 1] = {keys = keys, domain = domain, task = head[1], score = tonumber(head[2])}
  end
end
table.sort(heads, function(one, other)
  if one.score == other.score then
    return one.task < other.task
  end
  return one.score < other.score
end)
for _, head in ipairs(heads) do
  if redis.call('EXISTS', head.keys.s) == 1 then
    return assign(head.keys, head.domain, limits, now)
  end
end
return heads[1] and {'backlog'} or {}
