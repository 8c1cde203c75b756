-- Rows of an execution's history after a position, each begun by its own. Positions ascend, mostly
-- by 1. KEYS: y; ARGV: after, limit
local function text(number)
  return string.format('%.0f', number)
end

local function position(index)
  return tonumber(string.match(redis.call('LINDEX', KEYS[1], text(index)), '^%d+'))
end

local count, after = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
if count == 0 then
  return {}
end
local from = math.max(0, math.min(after - position(0) + 1, count))
while from > 0 and position(from - 1) > after do
  from = from - 1
end
return redis.call('LRANGE', KEYS[1], text(from), text(from + ARGV[2] - 1))
