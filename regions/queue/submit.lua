-- Takes jobs, each once for each dispatch; a newer dispatch revokes whatever waits or runs under an older one.
-- ARGV: now, jobs, then of each: id, dispatch, spec (JSON), version of the spec, tenant, lane, cost (compute-milliseconds),
--       most to run at once or "", deadline or "", not before or ""
-- Result: of each "queued" | "duplicate" | "stale", jobs ahead
open_book()
local out, n, ids, tenants = {}, tonumber(ARGV[2]), {}, {}
for i = 1, n do
  local a = 2 + (i - 1) * 10
  ids[i] = ARGV[a + 1]
  local lane, tenant = tonumber(ARGV[a + 6]), ARGV[a + 5]
  local of_lane = tenants[lane] or {}
  tenants[lane] = of_lane
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
  local a, id = 2 + (i - 1) * 10, ids[i]
  local outcome, job = admit(id, tonumber(ARGV[a + 2]), ARGV[a + 3])
  if outcome == 'new' then
    outcome = 'queued'
    book.seq = book.seq + 1
    local version = tonumber(ARGV[a + 4])
    job.v = version > 1 and version or nil
    job.tenant, job.lane, job.cost, job.seq = ARGV[a + 5], tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]), book.seq
    job.cap, job.deadline = tonumber(ARGV[a + 8]), tonumber(ARGV[a + 9])
    if job.deadline then
      call('ZADD', DEADLINES, job.deadline, id)
    end
    local start = tonumber(ARGV[a + 10])
    if start and start > NOW then
      job.at, job.where = start, 'delayed'
      call('ZADD', DELAYED, start, id)
    else
      enqueue(id, job)
    end
    save(id, job)
  end
  out[2 * i - 1] = outcome
end
flush_lanes()
for i, id in ipairs(ids) do
  local job = jobs[id]
  out[2 * i] = (out[2 * i - 1] ~= 'stale' and job and place(id, job)) or 0
end
close()
return out
