-- Notes how far a run is.
-- ARGV: now, job id, dispatch, attempt, fraction
-- Result: 1, or 0 when the run was fenced
local id = ARGV[2]
local found = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'watched', 'ver')
if not holds(found, ARGV[3], ARGV[4], call('ZSCORE', LEASES, id)) then
  return 0
end
call('HSET', JOB .. id, 'progress', ARGV[5], 'ver', (found[5] or 1) + 1)
tell(id, found[4])
return 1
