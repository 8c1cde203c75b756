-- The greatest version of a document. KEYS: rows. Answer: {version, value}, or {}
local greatest = -1
for _, version in ipairs(redis.call('HKEYS', KEYS[1])) do
  greatest = math.max(greatest, tonumber(version))
end
if greatest < 0 then
  return {}
end
local version = string.format('%.0f', greatest)
return {version, redis.call('HGET', KEYS[1], version)}
