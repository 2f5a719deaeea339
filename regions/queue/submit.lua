-- Takes jobs, each once for each dispatch; a newer dispatch revokes whatever waits or runs under an older one.
-- ARGV: now, jobs, then of each: id, dispatch, spec (JSON), version of the spec, tenant, lane, cost (compute-milliseconds),
--       most to run at once or "", deadline or "", not before or ""
-- Result: of each "queued" | "duplicate" | "stale", jobs ahead
open_book()
local args = ARGV
local out, n, ids, tenants = {}, tonumber(args[2]), {}, {}
for i = 1, n do
  local a = 10 * i - 8
  ids[i] = args[a + 1]
  local lane, tenant = number_of(args[a + 6]), args[a + 5]
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

for i = 1, n do
  local a, id = 10 * i - 8, ids[i]
  local outcome, job = admit(id, number_of(args[a + 2]), args[a + 3])
  if outcome == 'new' then
    outcome = 'queued'
    book.seq = book.seq + 1
    job[NEEDS], job[TENANT], job[LANE] = number_of(args[a + 4]), args[a + 5], number_of(args[a + 6])
    job[COST], job[SEQ] = number_of(args[a + 7]), book.seq
    job[CAP], job[DEADLINE] = number_of(args[a + 8]) or 0, number_of(args[a + 9]) or 0
    if job[DEADLINE] > 0 then
      call('ZADD', DEADLINES, job[DEADLINE], id)
    end
    local start = number_of(args[a + 10])
    if start and start > NOW then
      job[AT], job[WHERE] = start, 'delayed'
      call('ZADD', DELAYED, start, id)
    else
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
