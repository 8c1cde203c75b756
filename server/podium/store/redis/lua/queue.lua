-- What the scripts of queues share; put before each of them. Times are ms.
-- f: task -> end of its claim, +inf = it occupies a slot; c: task -> score ("-" = it was in no
-- queue), domain and claimant of its claim; lim: starts inside the rate window; r: task -> score;
-- w: wish -> count; s: wish -> its turn
local CLAIM_MS = 5000
-- Names the call that claims: what ends a claim later names it too, so that a call which was
-- delayed on its way never touches a claim of another one.
local claimant = ARGV[5]

local function text(number)
  return string.format('%.0f', number)
end

local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Ended claims of one domain return to their places.
local function expire(f, c, r, domain, now)
  for _, task in ipairs(redis.call('ZRANGEBYSCORE', f, '-inf', text(now))) do
    local score, of = string.match(redis.call('HGET', c, task) or '0\0\0', '^(%-?%d*)%z(.*)%z')
    if of == domain then
      redis.call('ZREM', f, task)
      redis.call('HDEL', c, task)
      if score ~= '-' then -- else it was in no queue
        redis.call('ZADD', r, score, task)
      end
    end
  end
end

-- When the first claim ends; 0 without claims.
local function first_end(f, now)
  local first = redis.call('ZRANGEBYSCORE', f, '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local ends = tonumber(first[2] or 'inf')
  return ends == math.huge and 0 or ends
end

-- nil = a hand-out is admitted; else when it may be (0 = when a slot is released).
local function blocked(f, lim, limits, now)
  if limits.concurrent > 0 then
    if redis.call('ZCOUNT', f, '(' .. text(now), '+inf') >= limits.concurrent then
      return first_end(f, now)
    end
  end
  if limits.rate > 0 then
    redis.call('ZREMRANGEBYSCORE', lim, '-inf', text(now - limits.window))
    local count = redis.call('ZCARD', lim)
    if count >= limits.rate then
      local place = count - limits.rate
      local free = redis.call('ZRANGE', lim, place, place, 'WITHSCORES')[2] + limits.window
      if free > now then
        return free
      end
    end
  end
  return nil
end

-- Claims the first of a domain; answers task and score.
local function start(keys, domain, limits, now)
  local head = redis.call('ZRANGE', keys.r, 0, 0, 'WITHSCORES')
  local task, score = head[1], text(tonumber(head[2]))
  if limits.rate > 0 then
    redis.call('ZADD', keys.lim, text(now), task .. '\0' .. text(now) .. '\0' .. score)
    redis.call('PEXPIRE', keys.lim, limits.window)
  end
  redis.call('ZREM', keys.r, task)
  redis.call('ZADD', keys.f, text(now + CLAIM_MS), task)
  redis.call('HSET', keys.c, task, score .. '\0' .. domain .. '\0' .. claimant)
  return task, score
end

-- To the end of the line.
local function serve(s, wish)
  local last = redis.call('ZREVRANGE', s, 0, 0, 'WITHSCORES')[2] or '0'
  redis.call('ZADD', s, text(tonumber(last) + 1), wish)
end

-- Hands the first of a domain to the server that was served longest ago.
local function assign(keys, domain, limits, now)
  local wish = redis.call('ZRANGE', keys.s, 0, 0)[1]
  if not wish or redis.call('ZCARD', keys.r) == 0 then
    return {'backlog'}
  end
  local at = blocked(keys.f, keys.lim, limits, now)
  if at then
    return {'limited', text(at)}
  end
  if redis.call('HINCRBY', keys.w, wish, -1) > 0 then
    serve(keys.s, wish)
  else
    redis.call('HDEL', keys.w, wish)
    redis.call('ZREM', keys.s, wish)
  end
  local task, score = start(keys, domain, limits, now)
  return {'assigned', task, score, wish, domain}
end

local now = clock(ARGV[1])
local limits = {concurrent = tonumber(ARGV[2]), rate = tonumber(ARGV[3]), window = tonumber(ARGV[4])}
