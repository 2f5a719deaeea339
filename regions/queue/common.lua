-- Goes before every script of the queue.

-- Unix milliseconds. Redis's own clock unless the caller passes one (tests do): one clock for a whole region, so that
-- a worker whose clock is wrong can neither lose its lease early nor keep it too long.
local function now_ms(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether the run (dispatch, attempt) still holds the lease of the job at `job`.
local function holds(job, leases, id, dispatch, attempt, now)
  local now_is = redis.call('HMGET', job, 'dispatch', 'attempt', 'status')
  if now_is[1] ~= dispatch or now_is[2] ~= attempt or now_is[3] ~= 'running' then
    return false
  end
  local expires = redis.call('ZSCORE', leases, id)
  return expires ~= false and tonumber(expires) > now
end

-- Puts a job at the end of the line `ready`. Entry ids count up from 0-1, so that the distance between two of them
-- is a place in the line.
local function enqueue(job, ready, id, dispatch)
  local entry = redis.call('XADD', ready, '0-*', 'job', id, 'dispatch', dispatch)
  redis.call('HSET', job, 'status', 'queued', 'entry', entry)
  redis.call('HDEL', job, 'worker', 'progress')
end

-- Jobs ahead of `entry` in its own line.
local function place(ready, entry)
  local head = redis.call('XRANGE', ready, '-', '+', 'COUNT', 1)[1]
  if not head then
    return 0
  end
  return math.max(0, tonumber(string.match(entry, '%d+$')) - tonumber(string.match(head[1], '%d+$')))
end

-- Ends an attempt that counts: back to the line, or, when it was the last one, to the offers with its failure.
local function end_attempt(job, ready, leases, offers, id, dispatch, max_attempts, failure)
  redis.call('ZREM', leases, id)
  if redis.call('HINCRBY', job, 'tried', 1) < max_attempts then
    enqueue(job, ready, id, dispatch)
    return 'requeued'
  end
  redis.call('XADD', offers, '*', 'offer', failure)
  redis.call('HSET', job, 'status', 'offered')
  return 'exhausted'
end

-- Jobs ahead of the job at `job` in its own line, KEYS[own], and in the lines above it, from KEYS[highest] on.
local function ahead(job, highest, own)
  local entry = redis.call('HGET', job, 'entry')
  if not entry then
    return 0
  end
  local jobs = place(KEYS[own], entry)
  for line = highest, own - 1 do
    jobs = jobs + redis.call('XLEN', KEYS[line])
  end
  return jobs
end
