-- Claims up to a count, and notes the rest as wanted; the count replaces the former wish.
-- KEYS: f c lim d r w s; ARGV: now, concurrent, rate, window, claimant, domain, wish, count
-- Answer: {1 = more are ready, when to ask again, task, score, ...}
local keys = {f = KEYS[1], c = KEYS[2], lim = KEYS[3], r = KEYS[5], w = KEYS[6], s = KEYS[7]}
local domain, wish, count = ARGV[6], ARGV[7], tonumber(ARGV[8])
expire(keys.f, keys.c, keys.r, domain, now)
local answer = {0, '0'}
local left, at = count, nil
while left > 0 and redis.call('ZCARD', keys.r) > 0 do
  at = blocked(keys.f, keys.lim, limits, now)
  if at then
    break
  end
  local task, score = start(keys, domain, limits, now)
  answer[#answer + 1] = task
  answer[#answer + 1] = score
  left = left - 1
end
if left > 0 then
  redis.call('SADD', KEYS[4], domain)
  redis.call('HSET', keys.w, wish, left)
  if left < count or not redis.call('ZSCORE', keys.s, wish) then
    serve(keys.s, wish)
  end
else
  redis.call('HDEL', keys.w, wish)
  redis.call('ZREM', keys.s, wish)
end
if not at and count > 0 and left == count then
  at = first_end(keys.f, now)
end
answer[1] = redis.call('ZCARD', keys.r) > 0 and 1 or 0
answer[2] = text(at or 0)
return answer
