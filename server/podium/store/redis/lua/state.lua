-- A queue as it stands.
-- KEYS: f c lim d r w s; ARGV: now, concurrent, rate, window, nobody, domain, holders
-- Answer: {ready, claimed, wanted, slots, starts, admitted at (-1 = now), holders...}
local f, c, lim = KEYS[1], KEYS[2], KEYS[3]
expire(f, c, KEYS[5], ARGV[6], now)
local claimed, wanted = 0, 0
for _, claim in ipairs(redis.call('HVALS', c)) do
  if string.match(claim, '^%-?%d*%z(.*)%z') == ARGV[6] then
    claimed = claimed + 1
  end
end
for _, count in ipairs(redis.call('HVALS', KEYS[6])) do
  wanted = wanted + tonumber(count)
end
local admits = blocked(f, lim, limits, now)
return {
  redis.call('ZCARD', KEYS[5]),
  claimed,
  wanted,
  redis.call('ZCOUNT', f, '(' .. text(now), '+inf'),
  limits.rate > 0 and redis.call('ZCARD', lim) or 0,
  admits and text(admits) or '-1',
  unpack(redis.call('ZRANGEBYSCORE', f, 'inf', 'inf', 'LIMIT', 0, ARGV[7])),
}
