-- Claims a slot for a task that is in no queue; its claim has "-" in the place of a score.
-- KEYS: f c lim d r w s; ARGV: now, concurrent, rate, window, claimant, domain, task
-- Answer: 1 = it has one
local f, c, domain, task = KEYS[1], KEYS[2], ARGV[6], ARGV[7]
expire(f, c, KEYS[5], domain, now)
if redis.call('ZSCORE', f, task) then
  return 1
end
if redis.call('ZCARD', KEYS[5]) > 0 or blocked(f, KEYS[3], limits, now) then
  return 0
end
redis.call('SADD', KEYS[4], domain)
redis.call('ZADD', f, text(now + CLAIM_MS), task)
redis.call('HSET', c, task, '-\0' .. domain .. '\0' .. claimant)
return 1
