-- Goes before every step of the queue, after the tables that redis-scripts.ts makes (LANES, TURNS, PASSES).
-- KEYS[1]: what all keys of the queue begin with; it holds their hash tag, so that all lie in one slot.
-- ARGV[1]: now, or "" for Redis's own clock
--
-- job:<id>                 what is kept of a job (MessagePack): dispatch, attempt, status, tenant, lane, cost, seq, at, ver; and
--                          where they apply: tag, where ("held", "delayed", "newer"), cap, deadline, v, tried, stalls, worker, started,
--                          progress, finished, cancel, passes, passed_at, watched, history
-- spec:<id>                its specification (JSON), untouched
-- lane:<lane>              jobs that wait, by virtual start time; held:<lane>:<tenant> those behind their tenant's limit, by place
-- shares:<lane>            tenants, by the virtual time at which what they have used ends
-- capped                   of tenants with a limit: r|<tenant> runs, <lane>|<tenant> jobs in a lane
-- newer                    jobs that wait for workers of a newer version, by that version
-- delayed, deadlines       jobs by when they may start, and by when those that wait must have started
-- leases                   runs by the end of their lease
local P, call = KEYS[1], redis.call
local JOB, SPEC, LEASES, DELAYED, DEADLINES = P .. 'job:', P .. 'spec:', P .. 'leases', P .. 'delayed', P .. 'deadlines'
local OFFERS, DEAD, CAPPED, EVENTS, NEWER = P .. 'offers', P .. 'dead', P .. 'capped', P .. 'events', P .. 'newer'

-- Unix milliseconds. One clock for a whole region, so that a worker whose clock is wrong can neither lose its lease early
-- nor keep it too long. Tests pass their own.
local NOW = tonumber(ARGV[1])
if not NOW then
  local time = call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A whole number as Redis is given it: Redis's own way of writing a number down costs as much as the whole call.
local function int(number)
  return string.format('%d', number)
end

local lane_keys = {}
local function lane_key(lane)
  local key = lane_keys[lane]
  if not key then
    key = P .. 'lane:' .. LANES[lane]
    lane_keys[lane] = key
  end
  return key
end
local function shares_key(lane)
  return P .. 'shares:' .. LANES[lane]
end
local function held_key(lane, tenant)
  return P .. 'held:' .. LANES[lane] .. ':' .. tenant
end

-- A call costs more than what it does, so a step reads many jobs at once, and writes what has changed once, in close.
local jobs, unsaved, new_specs = {}, {}, {}

local function read_jobs(ids)
  local n, keys, asked = 0, {}, {}
  for i = 1, #ids do
    local id = ids[i]
    if jobs[id] == nil then
      jobs[id] = false
      n = n + 1
      asked[n], keys[n] = id, JOB .. id
    end
  end
  if n == 0 then
    return
  end
  local records = call('MGET', unpack(keys))
  for i = 1, n do
    if records[i] then
      jobs[asked[i]] = cmsgpack.unpack(records[i])
    end
  end
end
-- What is kept of a job, or false.
local function job_of(id)
  if jobs[id] == nil then
    read_jobs({ id })
  end
  return jobs[id]
end
-- Keeps it as it is now, as a new version of which those who watch it are told.
local function save(id, job)
  job.ver = (job.ver or 0) + 1
  jobs[id] = job
  unsaved[id] = true
end

-- The book: figures of the whole queue (MessagePack), read when they are first asked for. seq: last place given out; turn: jobs taken;
-- of each lane: v, its virtual time; j and c, jobs and cost waiting in it.
local BOOK = P .. 'figures'
local book, written, take_over_old_book
local function open_book()
  if book then
    return book
  end
  written = call('GET', BOOK)
  local kept = written and cmsgpack.unpack(written) or { 0, 0 }
  book = { seq = kept[1], turn = kept[2], v = kept[3] or {}, j = kept[4] or {}, c = kept[5] or {} }
  for lane = 1, #LANES do
    book.v[lane], book.j[lane], book.c[lane] = book.v[lane] or 0, book.j[lane] or 0, book.c[lane] or 0
  end
  if not written then
    take_over_old_book()
  end
  return book
end
-- Writes what has changed in it.
local function close_book()
  local now = book and cmsgpack.pack({ book.seq, book.turn, book.v, book.j, book.c })
  if now and now ~= written then
    call('SET', BOOK, now)
    written = now
  end
end
-- The book was a hash once, with a field for each figure. Without its counts nobody would look into the lanes that it speaks of. They
-- are added, and looked for again with each `due`: processes of then, still at work beside this one, begin a hash anew, with what they
-- themselves put in and took.
function take_over_old_book()
  open_book()
  local old = call('HGETALL', P .. 'book')
  if #old == 0 then
    return
  end
  for i = 1, #old, 2 do
    local figure, lane, value = string.sub(old[i], 1, 1), tonumber(string.sub(old[i], 2)), tonumber(old[i + 1])
    if not lane then
      book[old[i]] = math.max(book[old[i]], value)
    elseif figure == 'v' then
      book.v[lane] = math.max(book.v[lane], value)
    else
      book[figure][lane] = book[figure][lane] + value
    end
  end
  close_book()
  call('DEL', P .. 'book')
end
-- So many jobs of such a cost wait in a lane from now on, or do no more.
local function waits(lane, by, cost)
  open_book()
  book.j[lane] = book.j[lane] + by
  book.c[lane] = book.c[lane] + by * cost
end

local ended, entering, leaving, freed, rung = {}, {}, {}, {}, false

-- The list of a lane in `gathered`.
local function list_of(gathered, lane)
  local list = gathered[lane]
  if not list then
    list = {}
    gathered[lane] = list
  end
  return list
end

-- Counters of tenants with a limit.
local counts, counted = {}, {}
local function count(field)
  counts[field] = counts[field] or tonumber(call('HGET', CAPPED, field) or 0)
  return counts[field]
end
local function count_by(field, by)
  counts[field] = count(field) + by
  counted[field] = true
end

-- Where the share of a tenant in a lane ends; each one used is read once.
local shares, moved = {}, {}
local function read_shares(lane, tenants)
  local of_lane = list_of(shares, lane)
  for i, own in ipairs(call('ZMSCORE', shares_key(lane), unpack(tenants))) do
    of_lane[tenants[i]] = tonumber(own or 0)
  end
end
local function share_of(lane, tenant)
  local of_lane = list_of(shares, lane)
  if not of_lane[tenant] then
    read_shares(lane, { tenant })
  end
  return of_lane[tenant]
end
local function use_share(lane, tenant, own)
  shares[lane][tenant] = own
  list_of(moved, lane)[tenant] = own
end

-- A job comes into its lane. Start-time fair queueing (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996): it starts, in the lane's virtual
-- time, where its tenant's share ends, but not before now; and the share then ends by its cost later. One that comes again has had
-- its start, and takes its old place.
local function enter(id, job)
  if not job.tag then
    job.tag = math.max(open_book().v[job.lane], share_of(job.lane, job.tenant))
    use_share(job.lane, job.tenant, job.tag + job.cost)
  end
  job.where = nil
  local list = list_of(entering, job.lane)
  list[#list + 1] = int(job.tag)
  list[#list + 1] = id
  rung = true
end

-- Lets as many of a tenant's held jobs into a lane as may run beside those that do.
local function let_in(lane, tenant)
  local field = lane .. '|' .. tenant
  while true do
    local id = call('ZRANGE', held_key(lane, tenant), 0, 0)[1]
    local job = id and job_of(id)
    if not id or (job and count(field) + count('r|' .. tenant) >= job.cap) then
      return
    end
    call('ZREM', held_key(lane, tenant), id)
    if job then
      count_by(field, 1)
      enter(id, job)
      unsaved[id] = true
    else
      waits(lane, -1, 0)
    end
  end
end

-- A job that waits comes into its lane, or behind its tenant's limit.
local function line_up(id, job)
  if not job.cap then
    return enter(id, job)
  end
  call('ZADD', held_key(job.lane, job.tenant), job.seq, id)
  job.where = 'held'
  freed[job.tenant] = true
end

-- A job begins to wait, or does so again.
local function enqueue(id, job)
  waits(job.lane, 1, job.cost)
  line_up(id, job)
end

-- Jobs that are about to be in a lane are, from here on.
local function flush_lanes()
  for tenant in pairs(freed) do
    for lane = 1, #LANES do
      let_in(lane, tenant)
    end
  end
  for lane, list in pairs(entering) do
    call('ZADD', lane_key(lane), unpack(list))
  end
  freed, entering = {}, {}
end

-- What is remembered of tenants' shares goes once it makes no difference. A lane where nothing waits begins anew for all.
local function forget_shares(lane)
  local key = shares_key(lane)
  if open_book().j[lane] > 0 then
    call('ZREMRANGEBYSCORE', key, '-inf', book.v[lane])
    return
  end
  local last = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then
    book.v[lane] = math.max(book.v[lane], tonumber(last[2]))
    call('DEL', key)
  end
end

local function refund_share(job)
  use_share(job.lane, job.tenant, share_of(job.lane, job.tenant) - job.cost)
  job.tag = nil
end

-- A job goes from its lane; `refund`: it has not used its share.
local function leave_lane(id, job, refund)
  local list = list_of(leaving, job.lane)
  list[#list + 1] = id
  if job.cap then
    count_by(job.lane .. '|' .. job.tenant, -1)
  end
  if refund then
    refund_share(job)
  end
end

local left = {}
local function flush_leaving()
  for lane, list in pairs(leaving) do
    call('ZREM', lane_key(lane), unpack(list))
    left[lane] = true
  end
  leaving = {}
end

-- Takes a job out of those that wait or are delayed.
local function withdraw(id, job)
  if job.deadline then
    call('ZREM', DEADLINES, id)
  end
  if job.where == 'delayed' then
    call('ZREM', DELAYED, id)
  elseif job.where == 'held' then
    call('ZREM', held_key(job.lane, job.tenant), id)
    left[job.lane] = true
  elseif job.where == 'newer' then
    call('ZREM', NEWER, id)
    left[job.lane] = true
    if job.attempt == 0 then
      refund_share(job)
    end
  else
    flush_lanes()
    leave_lane(id, job, job.attempt == 0)
    flush_leaving()
    if job.cap then
      freed[job.tenant] = true
    end
  end
  if job.where ~= 'delayed' then
    waits(job.lane, -1, job.cost)
  end
  job.where = nil
end

-- A run's lease goes, and with it the slot of a tenant that has a limit.
local function end_run(id, job)
  ended[#ended + 1] = id
  if job.cap then
    count_by('r|' .. job.tenant, -1)
    freed[job.tenant] = true
  end
  job.worker = nil
end

local function close()
  flush_leaving()
  flush_lanes()
  for lane, of_lane in pairs(moved) do
    local list = {}
    for tenant, own in pairs(of_lane) do
      list[#list + 1] = int(own)
      list[#list + 1] = tenant
    end
    call('ZADD', shares_key(lane), unpack(list))
  end
  for lane in pairs(left) do
    forget_shares(lane)
  end
  if #ended > 0 then
    call('ZREM', LEASES, unpack(ended))
  end
  for field in pairs(counted) do
    if counts[field] > 0 then
      call('HSET', CAPPED, field, counts[field])
    else
      call('HDEL', CAPPED, field)
    end
  end
  close_book()
  local writes = {}
  for id in pairs(unsaved) do
    writes[#writes + 1] = JOB .. id
    writes[#writes + 1] = cmsgpack.pack(jobs[id])
    if jobs[id].watched then
      call('SPUBLISH', EVENTS, 's' .. id)
    end
  end
  for id, spec in pairs(new_specs) do
    writes[#writes + 1] = SPEC .. id
    writes[#writes + 1] = spec
  end
  if #writes > 0 then
    call('MSET', unpack(writes))
  end
  if rung then
    call('SPUBLISH', EVENTS, 'w')
  end
end

-- Jobs that go before one that waits: those before it in its lane, and all of the lanes above.
local function place(id, job)
  if job.status ~= 'queued' or job.where == 'delayed' then
    return 0
  end
  local ahead
  if job.where == 'held' then
    ahead = call('ZCARD', lane_key(job.lane)) + (call('ZRANK', held_key(job.lane, job.tenant), id) or 0)
  else
    ahead = call('ZRANK', lane_key(job.lane), id) or 0
  end
  for above = 1, job.lane - 1 do
    ahead = ahead + open_book().j[above]
  end
  return ahead
end

-- Jobs that are due begin to wait.
-- Result: when the next one will be due, or ""
local function promote()
  local function next_due()
    return call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')[2]
  end
  local at = next_due()
  if not at or tonumber(at) > NOW then
    return at or ''
  end
  local due = call('ZRANGEBYSCORE', DELAYED, '-inf', NOW, 'LIMIT', 0, 100)
  read_jobs(due)
  for _, id in ipairs(due) do
    local job = jobs[id]
    if job and job.status == 'queued' and job.where == 'delayed' then
      job.at = NOW
      enqueue(id, job)
      unsaved[id] = true
    end
  end
  call('ZREM', DELAYED, unpack(due))
  flush_lanes()
  return next_due() or ''
end

-- Whether the run (dispatch, attempt) holds its lease.
local function holds(job, dispatch, attempt, expires)
  return job and job.status == 'running' and job.dispatch == tonumber(dispatch) and job.attempt == tonumber(attempt) and expires
    and tonumber(expires) > NOW
end

-- A run that has ended for now: its job waits again in its old place, at once or after `delay`.
local function again(id, job, delay)
  end_run(id, job)
  job.status, job.at, job.progress, job.passes, job.passed_at = 'queued', NOW + delay, nil, nil, nil
  if job.deadline then
    call('ZADD', DEADLINES, job.deadline, id)
  end
  if delay > 0 then
    job.where = 'delayed'
    call('ZADD', DELAYED, NOW + delay, id)
  else
    enqueue(id, job)
  end
  save(id, job)
end

-- The end of a job, with its offer, under the attempt that ends it.
local function offer(id, job, payload)
  call('XADD', OFFERS, '*', 'offer', payload)
  job.status = 'offered'
  save(id, job)
end

-- A dead letter beside the end of a job.
local function bury(id, job, code, reason)
  call('XADD', DEAD, '*', 'job', id, 'tenant', job.tenant, 'dispatch', job.dispatch, 'attempt', job.attempt, 'at', NOW, 'code', code,
    'reason', reason, 'history', job.history or '', 'spec', call('GET', SPEC .. id) or '')
end

-- One more attempt (JSON) in the history of a job: JSON objects, joined by commas.
local function remember(job, record)
  job.history = job.history and (job.history .. ',' .. record) or record
end

-- Makes way for a dispatch of a job that is new here.
-- Result: "new" | "duplicate" | "stale", and the job to fill in, or as it is
local function admit(id, dispatch, spec)
  local old = job_of(id)
  if old then
    local newer = dispatch - old.dispatch
    if newer < 0 then
      return 'stale'
    elseif newer == 0 then
      return 'duplicate', old
    end
    if old.status == 'queued' then
      withdraw(id, old)
    elseif old.status == 'running' then
      end_run(id, old)
    end
  end
  new_specs[id] = spec
  return 'new', { dispatch = dispatch, ver = old and old.ver, watched = old and old.watched, attempt = 0, status = 'queued', at = NOW }
end
