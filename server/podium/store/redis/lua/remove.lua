-- Deletes an execution at a version, with all its entries, and leaves a tombstone.
-- KEYS: x y due ready slot held ob open ids tomb watch out outn log chg arc arcs [idem]
-- ARGV: workflow id, version seen, ms at which the tombstone ends, "1" with an archive, archive,
--   "1" to note the change for the index
-- Answer: 1, or 0 where another version is stored or effects wait
local workflow = ARGV[1]
local x = KEYS[1]

local function begins(text, prefix)
  return string.sub(text, 1, #prefix) == prefix
end

if redis.call('HGET', x, '.v') ~= ARGV[2] then
  return 0
end
for _, effect in ipairs(redis.call('HVALS', KEYS[7])) do
  if begins(effect, workflow .. '\0') then
    return 0
  end
end
if tonumber(redis.call('HGET', x, '.d') or '0') > 0 then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    if begins(member, workflow .. '\0') then
      redis.call('ZREM', KEYS[3], member)
    end
  end
end
for number = 4, 6 do
  for _, task in ipairs(redis.call('HKEYS', KEYS[number])) do
    if begins(task, workflow .. '.') then
      redis.call('HDEL', KEYS[number], task)
    end
  end
end
for _, task in ipairs(redis.call('HKEYS', KEYS[12])) do
  if begins(task, workflow .. '.') then
    local outstanding = redis.call('HGET', KEYS[12], task)
    redis.call('HDEL', KEYS[12], task)
    if redis.call('HINCRBY', KEYS[13], outstanding, -1) <= 0 then
      redis.call('HDEL', KEYS[13], outstanding)
    end
  end
end
redis.call('SREM', KEYS[8], workflow)
redis.call('ZREM', KEYS[9], workflow)
redis.call('SET', KEYS[10], '1')
redis.call('PEXPIREAT', KEYS[10], ARGV[3])
if ARGV[4] == '1' then
  redis.call('SET', KEYS[16], ARGV[5])
  redis.call('ZADD', KEYS[17], 0, workflow)
end
if KEYS[18] and redis.call('GET', KEYS[18]) == workflow then
  redis.call('DEL', KEYS[18])
end
if ARGV[6] == '1' then
  redis.call('ZADD', KEYS[15], 0, workflow)
end
redis.call('DEL', x, KEYS[2], KEYS[11])
return 1
