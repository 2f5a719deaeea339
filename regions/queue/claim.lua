-- Takes the next jobs in fair order, each with its lease, as a new attempt.
-- ARGV: now, lease in ms, worker id, most to take, most cost of a job or "" for any, newest version of a spec or "" for any
-- Result: { now, when the next delayed job is due or "", 1 when jobs were met whose deadline has passed,
--           { spec, dispatch, attempt, tried, cost, lease expiry, deadline or "", job id, tenant }, ... }
open_book()
promote()
local lease_ms, worker, want = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local most_cost, newest = tonumber(ARGV[5]), tonumber(ARGV[6])
-- Jobs of one tenant, and of all, that are looked at and left where they are.
local PER_TENANT, IN_ALL = 4, 32

local runs, leased, met_overdue, passed_over, looks, held_back = {}, {}, 0, {}, 0, false

local opened = {}
local function open_lane(lane)
  if opened[lane] == nil then
    local list = {}
    if book['j' .. lane] > 0 then
      local found = call('ZRANGE', lane_key(lane), 0, want + IN_ALL - 1, 'WITHSCORES')
      for i = 1, #found, 2 do
        list[#list + 1] = { tenant = found[i], tag = tonumber(found[i + 1]), lane = lane, at = 1, looks = 0, gone = {} }
      end
    end
    opened[lane] = list
  end
  return opened[lane]
end

-- Fewest compute-milliseconds behind it; names decide between equals.
local function next_tenant(list)
  local best
  for _, tenant in ipairs(list) do
    if not tenant.done and (not best or tenant.tag < best.tag or (tenant.tag == best.tag and tenant.tenant < best.tenant)) then
      best = tenant
    end
  end
  return best
end

local function at_limit(t, cap)
  t.running = t.running or tonumber(call('HGET', RUNNING, t.tenant) or 0)
  return t.running + (running_by[t.tenant] or 0) >= tonumber(cap)
end

local function leave_it(t)
  looks, t.looks = looks + 1, t.looks + 1
  if t.looks >= PER_TENANT then
    t.done = true
  end
end

-- What a tenant has waiting, read in pieces: most often few of many tenants are taken.
local function id_at(t)
  if not t.ids then
    t.ids, t.piece = {}, 4
  end
  if t.at > #t.ids and not t.all then
    local from = #t.ids
    for i, id in ipairs(call('ZRANGE', wait_key(t.lane, t.tenant), from, from + t.piece - 1)) do
      t.ids[from + i] = id
    end
    t.all = #t.ids < from + t.piece
    t.piece = 2 * t.piece
  end
  return t.ids[t.at]
end

-- The next of a tenant's jobs that is for this worker. Without one the tenant is done, or the whole claim held back.
local function take_from(t)
  while not t.done and not held_back and looks < IN_ALL do
    local id = id_at(t)
    if not id then
      t.done = true
      return
    end
    t.at = t.at + 1
    local job = call('HMGET', JOB .. id, 'status', 'spec', 'dispatch', 'attempt', 'tried', 'cost', 'ver', 'watched', 'cap',
      'deadline', 'v', 'passes', 'passed_at')
    local cost = tonumber(job[6])
    if job[1] ~= 'queued' then
      -- Its record is gone: nothing is left to run.
      t.gone[#t.gone + 1] = id
      add('j' .. t.lane, -1)
    elseif job[10] and tonumber(job[10]) <= NOW then
      met_overdue = 1
      leave_it(t)
    elseif newest and tonumber(job[11] or 1) > newest then
      leave_it(t)
    elseif job[9] and at_limit(t, job[9]) then
      t.done, t.parked = true, true
    elseif most_cost and cost > most_cost then
      if tonumber(job[12] or 0) >= PASSES.most or (job[13] and NOW - job[13] >= PASSES.for_ms) then
        held_back = true
      else
        passed_over[#passed_over + 1] = { id, #runs, tonumber(job[12] or 0) + 1, job[13] or NOW }
        leave_it(t)
      end
    else
      local attempt = job[4] + 1
      call('HSET', JOB .. id, 'status', 'running', 'attempt', attempt, 'worker', worker, 'started_at', NOW, 'progress', 0,
        'ver', (job[7] or 1) + 1)
      if job[10] then
        call('ZREM', DEADLINES, id)
      end
      tell(id, job[8])
      leased[#leased + 1] = NOW + lease_ms
      leased[#leased + 1] = id
      runs[#runs + 1] = { job[2], tonumber(job[3]), attempt, tonumber(job[5] or 0), cost, NOW + lease_ms, job[10] or '', id,
        t.tenant }
      t.gone[#t.gone + 1] = id
      add('j' .. t.lane, -1)
      add('c' .. t.lane, -cost)
      if job[9] then
        running_by[t.tenant] = (running_by[t.tenant] or 0) + 1
      end
      note('v' .. t.lane, math.max(book['v' .. t.lane], t.tag))
      t.tag = t.tag + cost
      return true
    end
  end
end

local function take()
  for _, lane in ipairs(TURNS[book.turn % #TURNS + 1]) do
    local list = open_lane(lane)
    local t = next_tenant(list)
    while t and looks < IN_ALL and not held_back do
      if take_from(t) then
        return true
      end
      t = next_tenant(list)
    end
  end
end
while #runs < want and take() do
  add('turn', 1)
end

for lane, list in pairs(opened) do
  local tags = {}
  for _, t in ipairs(list) do
    if #t.gone > 0 then
      call('ZREM', wait_key(lane, t.tenant), unpack(t.gone))
    end
    -- Asked for only where all that was read has gone.
    if t.ids and #t.gone == #t.ids and (t.all or call('EXISTS', wait_key(lane, t.tenant)) == 0) then
      leave(lane, t.tenant, t.tag)
    elseif t.parked then
      call('ZREM', lane_key(lane), t.tenant)
      call('HSET', PARKED, lane .. '|' .. t.tenant, t.tag)
    elseif #t.gone > 0 then
      tags[#tags + 1] = t.tag
      tags[#tags + 1] = t.tenant
    end
  end
  if #tags > 0 then
    call('ZADD', lane_key(lane), unpack(tags))
  end
  if #list > 0 and #runs > 0 then
    forget_idle(lane)
  end
end
for _, job in ipairs(passed_over) do
  -- Only what came after it and went before it passed it over.
  if #runs > job[2] then
    call('HSET', JOB .. job[1], 'passes', job[3], 'passed_at', job[4])
  end
end
if #leased > 0 then
  call('ZADD', LEASES, unpack(leased))
end
-- Jobs that have just become due may be more than this worker takes.
rung = rung and #runs == want
close_book()
local due = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')[2] or ''
return { NOW, due, met_overdue, unpack(runs) }
