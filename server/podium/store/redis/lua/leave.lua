-- Takes tasks out of their places, where they still have the score they are known with.
-- KEYS: r; ARGV: (task, score)...
for each = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[each])
  if score and tonumber(score) == tonumber(ARGV[each + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[each])
  end
end
return 1
