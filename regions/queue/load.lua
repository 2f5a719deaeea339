-- What waits and runs.
-- ARGV: now
-- Result: { running, delayed, dead letters, then of each lane: jobs, cost, when the oldest began to wait or "" }
open_book()
local out = { call('ZCARD', LEASES), call('ZCARD', DELAYED), call('XLEN', DEAD) }
for lane = 1, #LANES do
  local oldest
  if book['j' .. lane] > 0 then
    -- Of tenants at their own limit nothing is asked: more workers would not help them.
    for _, tenant in ipairs(call('ZRANGE', lane_key(lane), 0, 99)) do
      local first = call('ZRANGE', wait_key(lane, tenant), 0, 0)[1]
      local at = first and tonumber(call('HGET', JOB .. first, 'at') or NOW)
      if at and (not oldest or at < oldest) then
        oldest = at
      end
    end
  end
  out[#out + 1] = book['j' .. lane]
  out[#out + 1] = book['c' .. lane]
  out[#out + 1] = oldest and math.max(0, NOW - oldest) or 0
end
return out
