-- Puts off the end of a lease that is still held.
-- KEYS: job, leases
-- ARGV: now or "", job id, dispatch, attempt, lease in ms
-- Result: new expiry, or 0 when the lease was lost
local job, leases, id = KEYS[1], KEYS[2], ARGV[2]
local now = now_ms(ARGV[1])
if not holds(job, leases, id, ARGV[3], ARGV[4], now) then
  return 0
end
redis.call('ZADD', leases, now + ARGV[5], id)
return now + ARGV[5]
