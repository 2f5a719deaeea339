-- Puts off the end of leases that are still held.
-- ARGV: now, lease in ms, runs, then of each: job id, dispatch, attempt
-- Result: of each its new expiry, or 0 when the lease was lost; and 1 when a cancel was asked for, else 0
local out, kept, until_ms, ids, n = {}, {}, NOW + tonumber(ARGV[2]), {}, tonumber(ARGV[3])
for i = 1, n do
  ids[i] = ARGV[3 * i + 1]
end
read_jobs(ids)
for i, id in ipairs(ids) do
  local job = jobs[id]
  out[2 * i - 1], out[2 * i] = 0, 0
  if holds(job, ARGV[3 * i + 2], ARGV[3 * i + 3]) then
    kept[#kept + 1] = int(until_ms)
    kept[#kept + 1] = id
    job[EXPIRES] = until_ms
    keep(job)
    out[2 * i - 1], out[2 * i] = until_ms, job[CANCEL]
  end
end
if #kept > 0 then
  call('ZADD', LEASES, unpack(kept))
end
close()
return out
