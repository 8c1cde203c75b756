-- One atomic change of one execution.
-- KEYS: x y due ready slot held ob open ids tomb watch out outn log chg [idem]
--   [l of tasks with lines]
-- ARGV: workflow id, version seen, "1" while it runs, strategy of the key ("" = none), name and key,
--   rows of history kept, position ("" = no row), row, log lines kept of a task, "1" to note the
--   change for the index, then sections of a count and so many items:
--   fields read on conflict; field, value; deleted fields; disarmed; ms, armed; unready;
--   task, ready; unslotted; task, slot; task, unheld incarnation; task, held incarnation;
--   outbox field, effect; outbox fields done; returned; task, outstanding; number of l, task, line
-- Answer: {"stored", version, watchers...} | {"exists", workflow id}
--   | {"conflict", version, "1" = tombstoned, fields read...}
local x, workflow = KEYS[1], ARGV[1]
local CHUNK = 996
local at = 10
local keyed = ARGV[4] ~= ''

local function each_chunk(count, call)
  local first = at + 1
  at = at + count
  while first <= at do
    local last = math.min(first + CHUNK - 1, at)
    call(first, last)
    first = last + 1
  end
end

local function section(width)
  at = at + 1
  return tonumber(ARGV[at]) * width
end

local version = redis.call('HGET', x, '.v') or '0'
if version ~= ARGV[2] then
  local answer = {'conflict', version, ''}
  each_chunk(section(1), function(first, last)
    for _, value in ipairs(redis.call('HMGET', x, unpack(ARGV, first, last))) do
      answer[#answer + 1] = value
    end
  end)
  return answer
end
if version == '0' then
  if redis.call('EXISTS', KEYS[10]) == 1 then
    return {'conflict', version, '1'}
  end
  if keyed then
    local recorded = redis.call('GET', KEYS[16])
    local counts = ARGV[4] ~= 'FAIL_ON_RUNNING'
    if recorded and (counts or redis.call('SISMEMBER', KEYS[8], recorded) == 1) then
      return {'exists', recorded}
    end
  end
  redis.call('ZADD', KEYS[9], 0, workflow)
end
if keyed then
  redis.call('SET', KEYS[16], workflow)
  redis.call('HSET', x, '.i', ARGV[5])
end

version = string.format('%.0f', tonumber(version) + 1)
redis.call('HSET', x, '.v', version)
if ARGV[10] == '1' then
  redis.call('ZADD', KEYS[15], version, workflow)
end
redis.call(ARGV[3] == '1' and 'SADD' or 'SREM', KEYS[8], workflow)
each_chunk(section(1), function() end)
each_chunk(section(2), function(first, last) redis.call('HMSET', x, unpack(ARGV, first, last)) end)
each_chunk(section(1), function(first, last) redis.call('HDEL', x, unpack(ARGV, first, last)) end)
local armed = 0
each_chunk(section(1), function(first, last)
  armed = armed - redis.call('ZREM', KEYS[3], unpack(ARGV, first, last))
end)
each_chunk(section(2), function(first, last)
  armed = armed + redis.call('ZADD', KEYS[3], unpack(ARGV, first, last))
end)
if armed ~= 0 then
  redis.call('HINCRBY', x, '.d', armed)
end
for _, key in ipairs({KEYS[4], KEYS[5]}) do
  each_chunk(section(1), function(first, last) redis.call('HDEL', key, unpack(ARGV, first, last)) end)
  each_chunk(section(2), function(first, last) redis.call('HMSET', key, unpack(ARGV, first, last)) end)
end
each_chunk(section(2), function(first, last)
  for item = first, last, 2 do
    if redis.call('HGET', KEYS[6], ARGV[item]) == ARGV[item + 1] then
      redis.call('HDEL', KEYS[6], ARGV[item])
    end
  end
end)
each_chunk(section(2), function(first, last) redis.call('HMSET', KEYS[6], unpack(ARGV, first, last)) end)
each_chunk(section(2), function(first, last) redis.call('HMSET', KEYS[7], unpack(ARGV, first, last)) end)
each_chunk(section(1), function(first, last) redis.call('HDEL', KEYS[7], unpack(ARGV, first, last)) end)

local function returned(task)
  local former = redis.call('HGET', KEYS[12], task)
  if former then
    redis.call('HDEL', KEYS[12], task)
    if redis.call('HINCRBY', KEYS[13], former, -1) <= 0 then
      redis.call('HDEL', KEYS[13], former)
    end
  end
end

each_chunk(section(1), function(first, last)
  for item = first, last do
    returned(ARGV[item])
  end
end)
each_chunk(section(2), function(first, last)
  for item = first, last, 2 do
    returned(ARGV[item])
    redis.call('HSET', KEYS[12], ARGV[item], ARGV[item + 1])
    redis.call('HINCRBY', KEYS[13], ARGV[item + 1], 1)
  end
end)
each_chunk(section(3), function(first, last)
  for item = first, last, 3 do
    local lines = KEYS[(keyed and 16 or 15) + tonumber(ARGV[item])]
    redis.call('SADD', KEYS[14], ARGV[item + 1])
    redis.call('RPUSH', lines, ARGV[item + 2])
    redis.call('LTRIM', lines, '-' .. ARGV[9], -1)
  end
end)
if ARGV[7] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[8])
  local over = tonumber(ARGV[7]) - tonumber(ARGV[6])
  while over > 0 and tonumber(string.match(redis.call('LINDEX', KEYS[2], 0), '^%d+')) <= over do
    redis.call('LPOP', KEYS[2])
  end
end
return {'stored', version, unpack(redis.call('SMEMBERS', KEYS[11]))}
