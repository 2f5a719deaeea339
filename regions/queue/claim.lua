-- Takes the next jobs in fair order, each with its lease, as a new attempt.
-- ARGV: now, lease in ms, worker id, most to take, most cost of a job or "" for any, newest version of a spec or "" for any
-- Result: { now, when the next delayed job is due or "", 1 when jobs were met whose deadline has passed, specs (JSON) of the jobs,
--           then of each: id, dispatch, attempt, tried, cost, deadline or "", tenant }
open_book()
promote()
local expires, worker, want = int(NOW + ARGV[2]), ARGV[3], math.min(256, tonumber(ARGV[4]))
local most_cost, newest = tonumber(ARGV[5]), tonumber(ARGV[6])
-- Jobs that are looked at and left where they are.
local LOOKS = 32

local taken, leased, met_overdue, passed_over, looks, held_back = {}, {}, 0, {}, 0, false

-- The head of each lane is read once, and of its jobs, in pieces, as many as are needed.
local opened = {}
local function next_in(lane)
  local line = opened[lane]
  if not line then
    local ids = book.j[lane] > 0 and call('ZRANGE', lane_key(lane), 0, want + LOOKS - 1) or {}
    line = { ids = ids, at = 0, read = 0, piece = math.min(want, 8) }
    opened[lane] = line
  end
  line.at = line.at + 1
  if line.at > line.read then
    local piece = {}
    for i = line.at, math.min(#line.ids, line.read + line.piece) do
      piece[#piece + 1] = line.ids[i]
    end
    read_jobs(piece)
    line.read, line.piece = line.read + line.piece, 2 * line.piece
  end
  return line.ids[line.at]
end

local function run(id, job)
  job.attempt, job.status, job.worker, job.started, job.progress = job.attempt + 1, 'running', worker, NOW, 0
  save(id, job)
  if job.deadline then
    call('ZREM', DEADLINES, id)
  end
  leave_lane(id, job)
  waits(job.lane, -1, job.cost)
  book.v[job.lane] = math.max(book.v[job.lane], job.tag)
  if job.cap then
    count_by('r|' .. job.tenant, 1)
  end
  leased[#leased + 1] = expires
  leased[#leased + 1] = id
  taken[#taken + 1] = id
end

local function take_from(lane)
  local id = next_in(lane)
  while id do
    local job = jobs[id]
    if not job then
      -- Its record is gone: nothing is left to run.
      local list = list_of(leaving, lane)
      list[#list + 1] = id
      waits(lane, -1, 0)
    elseif job.deadline and job.deadline <= NOW then
      met_overdue, looks = 1, looks + 1
    elseif newest and (job.v or 1) > newest then
      looks = looks + 1
    elseif job.cap and count('r|' .. job.tenant) >= job.cap then
      -- Its tenant's other lanes were faster.
      leave_lane(id, job, job.attempt == 0)
      job.where = 'held'
      unsaved[id] = true
      call('ZADD', held_key(lane, job.tenant), job.seq, id)
    elseif most_cost and job.cost > most_cost then
      if (job.passes or 0) >= PASSES.most or (job.passed_at and NOW - job.passed_at >= PASSES.for_ms) then
        held_back = true
      else
        looks = looks + 1
        passed_over[#passed_over + 1] = { id, #taken }
      end
    else
      run(id, job)
      return true
    end
    id = not held_back and looks < LOOKS and next_in(lane)
  end
end

local function take()
  for _, lane in ipairs(TURNS[book.turn % #TURNS + 1]) do
    if held_back or looks >= LOOKS then
      return
    end
    if take_from(lane) then
      return true
    end
  end
end
while #taken < want and take() do
  book.turn = book.turn + 1
end

for _, passed in ipairs(passed_over) do
  -- Only what came after it and went before it passed it over.
  if #taken > passed[2] then
    local job = jobs[passed[1]]
    job.passes, job.passed_at = (job.passes or 0) + 1, job.passed_at or NOW
    unsaved[passed[1]] = true
  end
end
local out = { NOW, call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')[2] or '', met_overdue, {} }
if #taken > 0 then
  call('ZADD', LEASES, unpack(leased))
  local specs = {}
  for i, id in ipairs(taken) do
    local job, at = jobs[id], 7 * i - 3
    specs[i] = SPEC .. id
    out[at + 1], out[at + 2], out[at + 3], out[at + 4] = id, job.dispatch, job.attempt, job.tried or 0
    out[at + 5], out[at + 6], out[at + 7] = job.cost, job.deadline or '', job.tenant
  end
  out[4] = call('MGET', unpack(specs))
end
-- Jobs that have just become due may be more than this worker takes.
rung = rung and #taken == want
close()
return out
