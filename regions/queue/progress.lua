-- Notes how far a run is.
-- KEYS: job, leases
-- ARGV: now or "", job id, dispatch, attempt, fraction
-- Result: 1, or 0 when the run was fenced
local job, leases, id = KEYS[1], KEYS[2], ARGV[2]
if not holds(job, leases, id, ARGV[3], ARGV[4], now_ms(ARGV[1])) then
  return 0
end
redis.call('HSET', job, 'progress', ARGV[5])
return 1
