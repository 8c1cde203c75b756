-- Takes notes for the index off that are still the latest.
-- KEYS: chg
-- ARGV: workflow id, version, and so on
-- Answer: how many
local gone = 0
for item = 1, #ARGV, 2 do
  local noted = redis.call('ZSCORE', KEYS[1], ARGV[item])
  if noted and tonumber(noted) == tonumber(ARGV[item + 1]) then
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[item])
  end
end
return gone
