-- Takes jobs, each once for each dispatch; a newer dispatch revokes whatever waits or runs under an older one.
-- ARGV: now, jobs, then of each: id, dispatch, spec (JSON), tenant, lane, cost (compute-milliseconds), and "" or, with a blank
--       between them, the version of the spec, most to run at once or 0, deadline or 0, not before or 0
-- Result: of each "queued" | "duplicate" | "stale", jobs ahead
open_book()
local args = ARGV
local out, n, ids, tenants = {}, tonumber(args[2]), {}, {}
for i = 1, n do
  local a = 7 * i - 5
  ids[i] = args[a + 1]
  local lane, tenant = number_of(args[a + 5]), args[a + 4]
  local of_lane = list_of(tenants, lane)
  if not of_lane[tenant] then
    of_lane[tenant] = true
    of_lane[#of_lane + 1] = tenant
  end
end
read_jobs(ids)
for lane, list in pairs(tenants) do
  read_shares(lane, list)
end

-- What few jobs have.
local function terms(job, version, cap, deadline, start)
  job[NEEDS], job[CAP], job[DEADLINE] = tonumber(version), tonumber(cap), tonumber(deadline)
  if job[DEADLINE] > 0 then
    call('ZADD', DEADLINES, deadline, job[ID])
  end
  if tonumber(start) > NOW then
    job[AT], job[WHERE] = tonumber(start), 'delayed'
    call('ZADD', DELAYED, start, job[ID])
  end
end

for i = 1, n do
  local a, id = 7 * i - 5, ids[i]
  local outcome, job = admit(id, number_of(args[a + 2]), args[a + 3])
  if outcome == 'new' then
    outcome = 'queued'
    book.seq = book.seq + 1
    job[TENANT], job[LANE], job[COST], job[SEQ] = args[a + 4], number_of(args[a + 5]), number_of(args[a + 6]), book.seq
    if args[a + 7] ~= '' then
      terms(job, string.match(args[a + 7], '(%d+) (%d+) (%d+) (%d+)'))
    end
    if job[WHERE] ~= 'delayed' then
      enqueue(job)
    end
    save(job)
  end
  out[2 * i - 1] = outcome
end
flush_lanes()
for i = 1, n do
  local job = jobs[ids[i]]
  out[2 * i] = out[2 * i - 1] ~= 'stale' and job and place(job) or 0
end
close()
return out
