-- Puts a task into its queue, and hands the head to a server that waits.
-- KEYS: f c lim d r w s; ARGV: now, concurrent, rate, window, claimant, domain, task, score
-- Answer: {"flight", end} | {"backlog"} | {"limited", at} | {"assigned", task, score, wish, domain}
local keys = {f = KEYS[1], c = KEYS[2], lim = KEYS[3], r = KEYS[5], w = KEYS[6], s = KEYS[7]}
local domain, task = ARGV[6], ARGV[7]
expire(keys.f, keys.c, keys.r, domain, now)
local flight = redis.call('ZSCORE', keys.f, task)
if flight and flight ~= 'inf' then
  if tonumber(flight) > now then
    return {'flight', text(tonumber(flight))}
  end
  redis.call('ZREM', keys.f, task)
  redis.call('HDEL', keys.c, task)
end
redis.call('SADD', KEYS[4], domain)
redis.call('ZADD', keys.r, ARGV[8], task)
return assign(keys, domain, limits, now)
