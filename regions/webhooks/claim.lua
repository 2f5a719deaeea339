-- Takes deliveries that are due, lane by lane: a lane never has more than its share under way, and one that only fails has one.
-- KEYS: lanes
-- ARGV: now, end of the lease (Unix ms), most to take, most of a lane, failures after which a lane has one, prefix of the other keys
-- Result: when a lane is due next (Unix ms; false: never), then of each: id, lane, record
local lanes = KEYS[1]
local now, lease, want, share, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local prefix = ARGV[6]
-- A step must stay short: what is left over goes with the next.
local MOST_LANES = 100

local function first(key)
  local entry = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return entry[2] and tonumber(entry[2])
end

local taken = { false }
local count = 0
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', lanes, '-inf', now, 'LIMIT', 0, MOST_LANES)) do
  if count >= want then
    break
  end
  local waiting, running = prefix .. 'lane:' .. lane, prefix .. 'running:' .. lane
  local health = redis.call('HMGET', prefix .. 'health:' .. lane, 'failures', 'hold')
  -- Whoever had these is dead.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', now, 'LIMIT', 0, MOST_LANES)) do
    redis.call('ZREM', running, id)
    redis.call('ZADD', waiting, now, id)
  end
  local hold = tonumber(health[2] or 0)
  local next
  if hold > now then
    next = (first(waiting) or first(running)) and hold
  else
    local most = (tonumber(health[1] or 0) >= limit) and 1 or share
    local room = math.min(most - redis.call('ZCARD', running), want - count)
    if room > 0 then
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', now, 'LIMIT', 0, room)) do
        redis.call('ZREM', waiting, id)
        local record = redis.call('GET', prefix .. 'delivery:' .. id)
        if record then
          redis.call('ZADD', running, lease, id)
          count = count + 1
          taken[#taken + 1], taken[#taken + 2], taken[#taken + 3] = id, lane, record
        end
      end
    end
    local due, lost = first(waiting), first(running)
    -- Full: whoever ends one of its runs wakes it; if nobody does, the end of their lease.
    if due and redis.call('ZCARD', running) < most then
      -- Behind the lanes that were not looked at yet.
      next = math.max(now, lost and math.min(due, lost) or due)
    else
      next = lost
    end
  end
  if next then
    redis.call('ZADD', lanes, next, lane)
  else
    redis.call('ZREM', lanes, lane)
  end
end
taken[1] = first(lanes) or false
if taken[1] then
  taken[1] = string.format('%d', taken[1])
end
return taken
