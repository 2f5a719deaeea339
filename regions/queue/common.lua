-- Goes before every step of the queue, after what is known of rows and the tables that redis-scripts.ts makes (LANES, TURNS, PASSES).
-- Jobs are rows: job-row.ts names their fields.
-- KEYS[1]: what all keys of the queue begin with; it holds their hash tag, so that all lie in one slot.
-- ARGV[1]: now, or "" for Redis's own clock
--
-- job:<id>                 the row of a job
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

local max, format, tonumber, pairs, ipairs, unpack = math.max, string.format, tonumber, pairs, ipairs, unpack

-- Unix milliseconds. One clock for a whole region, so that a worker whose clock is wrong can neither lose its lease early
-- nor keep it too long. Tests pass their own.
local NOW = tonumber(ARGV[1])
if not NOW then
  local time = call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A whole number as Redis is given it: Redis's own way of writing a number down costs as much as the whole call.
local function int(number)
  return format('%d', number)
end

-- The number that an argument is, or false. To read one costs more than to look it up, and most stand for many jobs.
local numbers = {}
local function number_of(text)
  local number = numbers[text]
  if number == nil then
    number = tonumber(text) or false
    numbers[text] = number
  end
  return number
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
local jobs, changed, told, writes = {}, {}, {}, {}

-- Rows of jobs into `jobs`, by their ids, or false.
local function read_jobs(ids)
  local n = #ids
  if n == 0 then
    return
  end
  local keys = {}
  for i = 1, n do
    keys[i] = JOB .. ids[i]
  end
  local records = call('MGET', unpack(keys))
  for i = 1, n do
    local id, record = ids[i], records[i]
    if not jobs[id] then
      jobs[id] = record and row_of(record, id, keys[i])
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
-- It will be written, without a word to anybody.
local function keep(job)
  if not job[CHANGED] then
    job[CHANGED] = true
    changed[#changed + 1] = job
  end
end
-- Keeps it as it is now, as a new version of which those who watch it are told.
local function save(job)
  job[VER] = job[VER] + 1
  if job[WATCHED] == 1 then
    told[job[ID]] = true
  end
  keep(job)
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
  for lane = #book.c + 1, #LANES do
    book.v[lane], book.j[lane], book.c[lane] = 0, 0, 0
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
      book[old[i]] = max(book[old[i]], value)
    elseif figure == 'v' then
      book.v[lane] = max(book.v[lane], value)
    else
      book[figure][lane] = book[figure][lane] + value
    end
  end
  close_book()
  call('DEL', P .. 'book')
end
-- So many jobs of such a cost wait in a lane from now on, or do no more.
local function waits(lane, by, cost)
  local j, c = open_book().j, book.c
  j[lane], c[lane] = j[lane] + by, c[lane] + by * cost
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
  local of_lane = shares[lane]
  local own = of_lane and of_lane[tenant]
  if not own then
    read_shares(lane, { tenant })
    own = shares[lane][tenant]
  end
  return own
end
local function use_share(lane, tenant, own)
  shares[lane][tenant] = own
  list_of(moved, lane)[tenant] = own
end

-- A job comes into its lane. Start-time fair queueing (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996): it starts, in the lane's virtual
-- time, where its tenant's share ends, but not before now; and the share then ends by its cost later. One that comes again has had
-- its start, and takes its old place.
local function enter(job)
  local lane, tag = job[LANE], job[TAG]
  if tag < 0 then
    local tenant, now = job[TENANT], open_book().v[lane]
    tag = share_of(lane, tenant)
    if tag < now then
      tag = now
    end
    job[TAG] = tag
    use_share(lane, tenant, tag + job[COST])
  end
  job[WHERE] = ''
  local list = list_of(entering, lane)
  local n = #list
  list[n + 1], list[n + 2] = int(tag), job[ID]
  rung = true
end

-- Lets as many of a tenant's held jobs into a lane as may run beside those that do.
local function let_in(lane, tenant)
  local field = lane .. '|' .. tenant
  while true do
    local id = call('ZRANGE', held_key(lane, tenant), 0, 0)[1]
    local job = id and job_of(id)
    if not id or (job and count(field) + count('r|' .. tenant) >= job[CAP]) then
      return
    end
    call('ZREM', held_key(lane, tenant), id)
    if job then
      count_by(field, 1)
      enter(job)
      keep(job)
    else
      waits(lane, -1, 0)
    end
  end
end

-- A job that waits comes into its lane, or behind its tenant's limit.
local function line_up(job)
  if job[CAP] == 0 then
    return enter(job)
  end
  call('ZADD', held_key(job[LANE], job[TENANT]), job[SEQ], job[ID])
  job[WHERE] = 'held'
  freed[job[TENANT]] = true
end

-- A job begins to wait, or does so again.
local function enqueue(job)
  waits(job[LANE], 1, job[COST])
  line_up(job)
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
    book.v[lane] = max(book.v[lane], tonumber(last[2]))
    call('DEL', key)
  end
end

local function refund_share(job)
  local lane, tenant = job[LANE], job[TENANT]
  use_share(lane, tenant, share_of(lane, tenant) - job[COST])
  job[TAG] = -1
end

-- A job goes from its lane; `refund`: it has not used its share.
local function leave_lane(job, refund)
  local lane = job[LANE]
  local list = list_of(leaving, lane)
  list[#list + 1] = job[ID]
  if job[CAP] > 0 then
    count_by(lane .. '|' .. job[TENANT], -1)
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
local function withdraw(job)
  local id, lane, where = job[ID], job[LANE], job[WHERE]
  if job[DEADLINE] > 0 then
    call('ZREM', DEADLINES, id)
  end
  if where == 'delayed' then
    call('ZREM', DELAYED, id)
  elseif where == 'held' then
    call('ZREM', held_key(lane, job[TENANT]), id)
    left[lane] = true
  elseif where == 'newer' then
    call('ZREM', NEWER, id)
    left[lane] = true
    if job[ATTEMPT] == 0 then
      refund_share(job)
    end
  else
    flush_lanes()
    leave_lane(job, job[ATTEMPT] == 0)
    flush_leaving()
    if job[CAP] > 0 then
      freed[job[TENANT]] = true
    end
  end
  if where ~= 'delayed' then
    waits(lane, -1, job[COST])
  end
  job[WHERE] = ''
end

-- A run's lease goes, and with it the slot of a tenant that has a limit.
local function end_run(job)
  ended[#ended + 1] = job[ID]
  if job[CAP] > 0 then
    count_by('r|' .. job[TENANT], -1)
    freed[job[TENANT]] = true
  end
  job[WORKER] = ''
end

local function close()
  flush_leaving()
  flush_lanes()
  for lane, of_lane in pairs(moved) do
    local list, n = {}, 0
    for tenant, own in pairs(of_lane) do
      list[n + 1], list[n + 2] = int(own), tenant
      n = n + 2
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
  local n = #writes
  for i = 1, #changed do
    local job = changed[i]
    writes[n + 1], writes[n + 2] = job[KEY], record_of(job)
    n = n + 2
  end
  if n > 0 then
    call('MSET', unpack(writes))
  end
  for id in pairs(told) do
    call('SPUBLISH', EVENTS, 's' .. id)
  end
  if rung then
    call('SPUBLISH', EVENTS, 'w')
  end
end

-- Jobs that wait in the lanes above one.
local function waiting_above(lane)
  local ahead, j = 0, open_book().j
  for above = 1, lane - 1 do
    ahead = ahead + j[above]
  end
  return ahead
end

-- Jobs that go before one that waits: those before it in its lane, and all of the lanes above.
local function place(job)
  local lane, where = job[LANE], job[WHERE]
  if job[STATUS] ~= 'queued' or where == 'delayed' then
    return 0
  end
  if where == 'held' then
    local before = call('ZRANK', held_key(lane, job[TENANT]), job[ID]) or 0
    return call('ZCARD', lane_key(lane)) + before + waiting_above(lane)
  end
  return (call('ZRANK', lane_key(lane), job[ID]) or 0) + waiting_above(lane)
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
    if job and job[STATUS] == 'queued' and job[WHERE] == 'delayed' then
      job[AT] = NOW
      enqueue(job)
      keep(job)
    end
  end
  call('ZREM', DELAYED, unpack(due))
  flush_lanes()
  return next_due() or ''
end

-- Whether the run (dispatch, attempt) holds its lease.
local function holds(job, dispatch, attempt)
  if not job or job[STATUS] ~= 'running' or job[DISPATCH] ~= number_of(dispatch) or job[ATTEMPT] ~= number_of(attempt) then
    return false
  end
  if job[EXPIRES] < 0 then
    job[EXPIRES] = tonumber(call('ZSCORE', LEASES, job[ID]) or 0)
  end
  return job[EXPIRES] > NOW
end

-- A run that has ended for now: its job waits again in its old place, at once or after `delay`.
local function again(job, delay)
  end_run(job)
  job[STATUS], job[AT], job[PROGRESS], job[PASSES], job[PASSED_AT] = 'queued', NOW + delay, '', 0, 0
  if job[DEADLINE] > 0 then
    call('ZADD', DEADLINES, job[DEADLINE], job[ID])
  end
  if delay > 0 then
    job[WHERE] = 'delayed'
    call('ZADD', DELAYED, NOW + delay, job[ID])
  else
    enqueue(job)
  end
  save(job)
end

-- The end of a job, with its offer, under the attempt that ends it.
local function offer(job, payload)
  call('XADD', OFFERS, '*', 'offer', payload)
  job[STATUS] = 'offered'
  save(job)
end

-- A dead letter beside the end of a job.
local function bury(job, code, reason)
  local id = job[ID]
  call('XADD', DEAD, '*', 'job', id, 'tenant', job[TENANT], 'dispatch', job[DISPATCH], 'attempt', job[ATTEMPT], 'at', NOW, 'code', code,
    'reason', reason, 'history', job[HISTORY], 'spec', call('GET', SPEC .. id) or '')
end

-- One more attempt (JSON) in the history of a job: JSON objects, joined by commas.
local function remember(job, record)
  job[HISTORY] = job[HISTORY] == '' and record or (job[HISTORY] .. ',' .. record)
end

-- Makes way for a dispatch of a job that is new here: a row of nothing but its id, dispatch and time, which is to be filled in.
-- Result: "new" | "duplicate" | "stale", and the row, or the job as it is
local function admit(id, dispatch, spec)
  local old = job_of(id)
  if old then
    local newer = dispatch - old[DISPATCH]
    if newer < 0 then
      return 'stale'
    elseif newer == 0 then
      return 'duplicate', old
    end
    if old[STATUS] == 'queued' then
      withdraw(old)
    elseif old[STATUS] == 'running' then
      end_run(old)
    end
  end
  local n = #writes
  writes[n + 1], writes[n + 2] = SPEC .. id, spec
  local job = new_row(id, JOB .. id)
  job[DISPATCH], job[AT] = dispatch, NOW
  if old then
    job[VER], job[WATCHED] = old[VER], old[WATCHED]
  end
  jobs[id] = job
  return 'new', job
end
