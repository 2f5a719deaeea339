-- What waits and runs.
-- ARGV: now
-- Result: { running, delayed, dead letters, left to newer workers, then of each lane: jobs, cost, for how long the oldest has waited }
open_book()
local out = { call('ZCARD', LEASES), call('ZCARD', DELAYED), call('XLEN', DEAD), call('ZCARD', NEWER) }
for lane = 1, #LANES do
  local oldest = NOW
  if book.j[lane] > 0 then
    -- Of those that are about to go. Jobs held by their tenant's own limit are not asked: more workers would not help them.
    local next_ones = call('ZRANGE', lane_key(lane), 0, 99)
    read_jobs(next_ones)
    for _, id in ipairs(next_ones) do
      oldest = math.min(oldest, jobs[id] and jobs[id][AT] or NOW)
    end
  end
  out[#out + 1] = book.j[lane]
  out[#out + 1] = book.c[lane]
  out[#out + 1] = NOW - oldest
end
return out
