-- Puts off the end of leases that are still held.
-- ARGV: now, lease in ms, runs, then of each: job id, dispatch, attempt
-- Result: of each its new expiry, or 0 when the lease was lost; and 1 when a cancel was asked for, else 0
local out, kept, until_ms = {}, {}, NOW + tonumber(ARGV[2])
for i = 1, tonumber(ARGV[3]) do
  local a = 3 + (i - 1) * 3
  local id = ARGV[a + 1]
  local found = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'cancel')
  out[2 * i - 1], out[2 * i] = 0, 0
  if holds(found, ARGV[a + 2], ARGV[a + 3], call('ZSCORE', LEASES, id)) then
    kept[#kept + 1] = until_ms
    kept[#kept + 1] = id
    out[2 * i - 1], out[2 * i] = until_ms, found[4] and 1 or 0
  end
end
if #kept > 0 then
  call('ZADD', LEASES, unpack(kept))
end
return out
