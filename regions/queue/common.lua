-- Goes before every step of the queue, after the tables that redis-scripts.ts makes (LANES, TURNS, PASSES).
-- KEYS[1]: what all keys of the queue begin with; it holds their hash tag, so that all lie in one slot.
-- ARGV[1]: now, or "" for Redis's own clock
local P, call = KEYS[1], redis.call
local JOB, LEASES, DELAYED, DEADLINES = P .. 'job:', P .. 'leases', P .. 'delayed', P .. 'deadlines'
local OFFERS, DEAD, PARKED, RUNNING, EVENTS = P .. 'offers', P .. 'dead', P .. 'parked', P .. 'running', P .. 'events'

-- Unix milliseconds. One clock for a whole region, so that a worker whose clock is wrong can neither lose its lease early
-- nor keep it too long. Tests pass their own.
local NOW = tonumber(ARGV[1])
if not NOW then
  local time = call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function wait_key(lane, tenant)
  return P .. 'wait:' .. LANES[lane] .. ':' .. tenant
end
local function lane_key(lane)
  return P .. 'lane:' .. LANES[lane]
end
local function idle_key(lane)
  return P .. 'idle:' .. LANES[lane]
end

-- The book: figures of the whole queue, read once in a step and written once at its end.
--   seq: last place given out; turn: jobs taken; of each lane: v, its virtual time; j and c, jobs and cost waiting in it
local book, dirty
local function open_book()
  local fields = { 'seq', 'turn' }
  for lane = 1, #LANES do
    fields[#fields + 1] = 'v' .. lane
    fields[#fields + 1] = 'j' .. lane
    fields[#fields + 1] = 'c' .. lane
  end
  local values = call('HMGET', P .. 'book', unpack(fields))
  book, dirty = {}, {}
  for i, field in ipairs(fields) do
    book[field] = tonumber(values[i] or 0)
  end
end
local function note(field, value)
  book[field] = value
  dirty[field] = true
end
local function add(field, by)
  note(field, book[field] + by)
end

-- What a step changes in many places and writes in few calls, by close_book.
local arrivals, running_by, ended, rung = {}, {}, {}, false

-- A tenant with waiting jobs takes part in its lane from the lane's virtual time on, or from where its own share ends.
-- Start-time fair queueing: P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996.
local function join(lane, tenant)
  if call('ZSCORE', lane_key(lane), tenant) or call('HEXISTS', PARKED, lane .. '|' .. tenant) == 1 then
    return
  end
  local from = book['v' .. lane]
  local own = call('ZSCORE', idle_key(lane), tenant)
  if own then
    call('ZREM', idle_key(lane), tenant)
    from = math.max(from, tonumber(own))
  end
  call('ZADD', lane_key(lane), from, tenant)
end

-- A tenant whose last job left the lane; `own` is where its share ends.
local function leave(lane, tenant, own)
  call('ZREM', lane_key(lane), tenant)
  call('HDEL', PARKED, lane .. '|' .. tenant)
  if own and own > book['v' .. lane] then
    call('ZADD', idle_key(lane), own, tenant)
  end
end

-- What is remembered of idle tenants goes once it makes no difference. A lane where nothing waits begins anew for all.
local function forget_idle(lane)
  local key = idle_key(lane)
  if book['j' .. lane] > 0 then
    call('ZREMRANGEBYSCORE', key, '-inf', book['v' .. lane])
    return
  end
  local last = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then
    note('v' .. lane, math.max(book['v' .. lane], tonumber(last[2])))
    call('DEL', key)
  end
end

-- A job begins to wait, or does so again in its old place.
local function enqueue(lane, tenant, seq, id, cost)
  local key = lane .. '|' .. tenant
  local group = arrivals[key]
  if not group then
    group = { lane = lane, tenant = tenant, list = {} }
    arrivals[key] = group
  end
  group.list[#group.list + 1] = seq
  group.list[#group.list + 1] = id
  add('j' .. lane, 1)
  add('c' .. lane, cost)
  rung = true
end

local function flush_arrivals()
  for _, group in pairs(arrivals) do
    if #group.list > 0 then
      call('ZADD', wait_key(group.lane, group.tenant), unpack(group.list))
      join(group.lane, group.tenant)
      group.list = {}
    end
  end
end

-- Takes a job out of those that wait or are delayed.
local function withdraw(id, lane, tenant, cost, deadline)
  if deadline then
    call('ZREM', DEADLINES, id)
  end
  if call('ZREM', DELAYED, id) == 1 then
    return
  end
  flush_arrivals()
  local key = wait_key(lane, tenant)
  if call('ZREM', key, id) == 1 then
    add('j' .. lane, -1)
    add('c' .. lane, -cost)
    if call('EXISTS', key) == 0 then
      -- Its share stays used: taking a job back gives no better place.
      local own = call('ZSCORE', lane_key(lane), tenant) or call('HGET', PARKED, lane .. '|' .. tenant)
      leave(lane, tenant, own and tonumber(own))
      forget_idle(lane)
    end
  end
end

-- A run's lease goes, and with it the slot of a tenant that has a limit.
local function end_run(id, tenant, cap)
  ended[#ended + 1] = id
  if cap then
    running_by[tenant] = (running_by[tenant] or 0) - 1
  end
end

-- A tenant below its limit takes part again in the lanes where it waited for that.
local function unpark(tenant)
  for lane = 1, #LANES do
    local field = lane .. '|' .. tenant
    local from = call('HGET', PARKED, field)
    if from then
      call('HDEL', PARKED, field)
      call('ZADD', lane_key(lane), math.max(tonumber(from), book['v' .. lane]), tenant)
      rung = true
    end
  end
end

local function close_book()
  flush_arrivals()
  if #ended > 0 then
    call('ZREM', LEASES, unpack(ended))
  end
  local some_parked
  for tenant, by in pairs(running_by) do
    if by ~= 0 and call('HINCRBY', RUNNING, tenant, by) <= 0 then
      call('HDEL', RUNNING, tenant)
    end
    if by < 0 then
      if some_parked == nil then
        some_parked = call('EXISTS', PARKED) == 1
      end
      if some_parked then
        unpark(tenant)
      end
    end
  end
  local changes = {}
  for field in pairs(dirty) do
    changes[#changes + 1] = field
    changes[#changes + 1] = book[field]
  end
  if #changes > 0 then
    call('HSET', P .. 'book', unpack(changes))
  end
  if rung then
    call('SPUBLISH', EVENTS, 'w')
  end
end

-- Tells those who watch a job that it has changed.
local function tell(id, watched)
  if watched then
    call('SPUBLISH', EVENTS, 's' .. id)
  end
end

local tenants_in = {}
-- About how many jobs go before one that has `rank` of its own tenant's before it: all of the lanes above, and of each other tenant
-- in its lane as many as of its own.
local function place(lane, rank, own)
  tenants_in[lane] = tenants_in[lane] or call('ZCARD', lane_key(lane))
  local ahead = rank + math.min(book['j' .. lane] - own, (tenants_in[lane] - 1) * (rank + 1))
  for above = 1, lane - 1 do
    ahead = ahead + book['j' .. above]
  end
  return math.max(0, ahead)
end

-- Jobs that are due begin to wait.
local function promote()
  local due = call('ZRANGEBYSCORE', DELAYED, '-inf', NOW, 'LIMIT', 0, 100)
  for _, id in ipairs(due) do
    local job = call('HMGET', JOB .. id, 'status', 'lane', 'tenant', 'seq', 'cost')
    if job[1] == 'queued' then
      enqueue(tonumber(job[2]), job[3], job[4], id, tonumber(job[5]))
      call('HSET', JOB .. id, 'at', NOW)
    end
  end
  if #due > 0 then
    call('ZREM', DELAYED, unpack(due))
    flush_arrivals()
  end
end

-- Whether the run (dispatch, attempt) holds its lease, by what was read of the job.
local function holds(found, dispatch, attempt, expires)
  return found[1] == dispatch and found[2] == attempt and found[3] == 'running' and expires and tonumber(expires) > NOW
end

-- A run that has ended for now: its job waits again in its old place, at once or after `delay`.
-- job: as read_run has it; more: further fields to set
local function read_run(id)
  return call('HMGET', JOB .. id, 'lane', 'tenant', 'seq', 'cost', 'deadline', 'watched', 'ver', 'cap')
end
local function again(id, job, delay, more)
  end_run(id, job[2], job[8])
  local fields = { 'status', 'queued', 'at', NOW + delay, 'ver', (job[7] or 1) + 1 }
  for _, value in ipairs(more) do
    fields[#fields + 1] = value
  end
  call('HSET', JOB .. id, unpack(fields))
  call('HDEL', JOB .. id, 'worker', 'progress', 'passes', 'passed_at')
  if job[5] then
    call('ZADD', DEADLINES, job[5], id)
  end
  if delay > 0 then
    call('ZADD', DELAYED, NOW + delay, id)
  else
    enqueue(tonumber(job[1]), job[2], job[3], id, tonumber(job[4]))
  end
  tell(id, job[6])
end

-- The end of a job, with its offer, under the attempt that ends it.
local function offer(id, payload, watched, ver, ...)
  call('XADD', OFFERS, '*', 'offer', payload)
  call('HSET', JOB .. id, 'status', 'offered', 'ver', (ver or 1) + 1, ...)
  tell(id, watched)
end

-- A dead letter beside the end of a job.
local function bury(id, attempt, code, reason)
  local job = call('HMGET', JOB .. id, 'tenant', 'dispatch', 'history', 'spec')
  call('XADD', DEAD, '*', 'job', id, 'tenant', job[1], 'dispatch', job[2], 'attempt', attempt, 'at', NOW, 'code', code,
    'reason', reason, 'history', job[3] or '', 'spec', job[4])
end

-- The history of a job with one more attempt in it (JSON objects, joined by commas).
local function history_with(id, record)
  local before = call('HGET', JOB .. id, 'history')
  return before and (before .. ',' .. record) or record
end

-- Makes way for a dispatch of a job that is new here.
-- Result: "new" | "duplicate" | "stale", fields to carry over, what was found (for a duplicate)
local function admit(id, dispatch)
  local old = call('HMGET', JOB .. id, 'dispatch', 'status', 'lane', 'tenant', 'cost', 'deadline', 'watched', 'ver', 'cap')
  if not old[1] then
    return 'new', {}
  end
  local newer = tonumber(dispatch) - tonumber(old[1])
  if newer < 0 then
    return 'stale'
  elseif newer == 0 then
    return 'duplicate', nil, old
  end
  if old[2] == 'queued' then
    withdraw(id, tonumber(old[3]), old[4], tonumber(old[5]), old[6])
  elseif old[2] == 'running' then
    end_run(id, old[4], old[9])
    -- Before this step looks at the lease again.
    call('ZREM', LEASES, id)
  end
  call('DEL', JOB .. id)
  local carried = { 'ver', (old[8] or 1) + 1 }
  if old[7] then
    carried[3], carried[4] = 'watched', old[7]
  end
  tell(id, old[7])
  return 'new', carried
end
