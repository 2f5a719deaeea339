-- Takes the next jobs in fair order, each with its lease, as a new attempt.
-- ARGV: now, lease in ms, worker id, most to take, most cost of a job or "" for any, newest version of a spec or "" for any
-- Result: { now, when the next delayed job is due or "", "overdue" when jobs were met whose deadline has passed, else "more" when it
--           was broken off before the end of what waits, else "", specs (JSON) of the jobs,
--           then of each: id, dispatch, attempt, tried, cost, deadline or "", tenant }
open_book()
local due = promote()
local until_ms, worker, want = NOW + ARGV[2], ARGV[3], math.min(256, tonumber(ARGV[4]))
local expires = int(until_ms)
local most_cost, newest = tonumber(ARGV[5]), tonumber(ARGV[6])
-- Jobs that are looked at and left where they are.
local LOOKS = 32

local taken, leased, met, passed_over, looks, held_back = {}, {}, '', {}, 0, false

-- Jobs that were left to workers of this version come back to their places.
local function take_back()
  local ids = call('ZRANGEBYSCORE', NEWER, '-inf', newest or '+inf', 'LIMIT', 0, want)
  if #ids == 0 then
    return
  end
  read_jobs(ids)
  for _, id in ipairs(ids) do
    local job = jobs[id]
    if job and job[STATUS] == 'queued' and job[WHERE] == 'newer' then
      line_up(job)
      keep(job)
    end
  end
  call('ZREM', NEWER, unpack(ids))
  flush_lanes()
end
take_back()

-- A turn's lanes, in the order they are tried.
local function order_of(turn)
  return TURNS[turn % #TURNS + 1]
end
-- The lanes of the turns to come, and of each lane the jobs that it will give, when none has to be left where it is.
local lanes_of_turns, expected, firsts = {}, {}, {}
local function has_more(lane)
  return book.j[lane] > (expected[lane] or 0)
end
local function first_in(order)
  for place = 1, #LANES do
    local lane = string.byte(order, place) - 48
    if has_more(lane) then
      return lane
    end
  end
end
for turn = book.turn, book.turn + math.min(want, waiting_above(#LANES + 1)) - 1 do
  local order = order_of(turn)
  local lane = firsts[order]
  if not lane or not has_more(lane) then
    lane = first_in(order)
    firsts[order] = lane
  end
  expected[lane] = (expected[lane] or 0) + 1
  lanes_of_turns[turn] = lane
end

-- Lanes are read from their heads, in pieces.
local opened = {}
local function next_in(lane)
  local line = opened[lane]
  if not line then
    line = { ids = {}, at = 0, read = 0, piece = math.max(2, expected[lane] or 0), more = book.j[lane] > 0 }
    opened[lane] = line
  end
  line.at = line.at + 1
  if line.at > #line.ids and line.more then
    line.at, line.ids = 1, call('ZRANGE', lane_key(lane), line.read, line.read + line.piece - 1)
    line.more = #line.ids == line.piece and line.read < want + LOOKS
    line.read, line.piece = line.read + #line.ids, 2 * line.piece
    read_jobs(line.ids)
  end
  return line.ids[line.at]
end

local function run(job)
  local id, lane, tag = job[ID], job[LANE], job[TAG]
  job[ATTEMPT], job[STATUS] = job[ATTEMPT] + 1, 'running'
  job[WORKER], job[STARTED], job[EXPIRES] = worker, NOW, until_ms
  save(job)
  if job[DEADLINE] > 0 then
    call('ZREM', DEADLINES, id)
  end
  leave_lane(job)
  waits(lane, -1, job[COST])
  if tag > book.v[lane] then
    book.v[lane] = tag
  end
  if job[CAP] > 0 then
    count_by('r|' .. job[TENANT], 1)
  end
  local n = #taken
  leased[2 * n + 1], leased[2 * n + 2], taken[n + 1] = expires, id, job
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
    elseif job[DEADLINE] > 0 and job[DEADLINE] <= NOW then
      met, looks = 'overdue', looks + 1
    elseif newest and job[NEEDS] > newest then
      -- Out of the way: there may be any number of them, and of others behind.
      looks = looks + 1
      met = met == '' and 'more' or met
      leave_lane(job)
      if job[CAP] > 0 then
        freed[job[TENANT]] = true
      end
      job[WHERE] = 'newer'
      keep(job)
      call('ZADD', NEWER, job[NEEDS], id)
    elseif job[CAP] > 0 and count('r|' .. job[TENANT]) >= job[CAP] then
      -- Its tenant's other lanes were faster.
      leave_lane(job, job[ATTEMPT] == 0)
      job[WHERE] = 'held'
      keep(job)
      call('ZADD', held_key(lane, job[TENANT]), job[SEQ], id)
    elseif most_cost and job[COST] > most_cost then
      if job[PASSES] >= PASSES.most or (job[PASSED_AT] > 0 and NOW - job[PASSED_AT] >= PASSES.for_ms) then
        held_back = true
      else
        looks = looks + 1
        passed_over[#passed_over + 1] = { job, #taken }
      end
    else
      run(job)
      return true
    end
    id = not held_back and looks < LOOKS and next_in(lane)
  end
end

local function take()
  local expected_lane = looks == 0 and lanes_of_turns[book.turn]
  if expected_lane and take_from(expected_lane) then
    return true
  end
  local order = order_of(book.turn)
  for place = 1, #LANES do
    if held_back or looks >= LOOKS then
      return
    end
    local lane = string.byte(order, place) - 48
    if book.j[lane] > 0 and take_from(lane) then
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
    local job = passed[1]
    job[PASSES], job[PASSED_AT] = job[PASSES] + 1, job[PASSED_AT] > 0 and job[PASSED_AT] or NOW
    keep(job)
  end
end
local out = { NOW, due, met, {} }
if #taken > 0 then
  call('ZADD', LEASES, unpack(leased))
  local specs = {}
  for i = 1, #taken do
    local job, at = taken[i], 7 * i - 3
    specs[i] = SPEC .. job[ID]
    out[at + 1], out[at + 2], out[at + 3], out[at + 4] = job[ID], job[DISPATCH], job[ATTEMPT], job[TRIED]
    out[at + 5], out[at + 6], out[at + 7] = job[COST], job[DEADLINE] > 0 and job[DEADLINE] or '', job[TENANT]
  end
  out[4] = call('MGET', unpack(specs))
end
-- Jobs that have just become due may be more than this worker takes.
rung = rung and #taken == want
close()
return out
