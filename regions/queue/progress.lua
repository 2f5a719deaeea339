-- Notes how far a run is.
-- ARGV: now, job id, dispatch, attempt, fraction
-- Result: 1, or 0 when the run was fenced
local id = ARGV[2]
local job = job_of(id)
if not holds(job, ARGV[3], ARGV[4], call('ZSCORE', LEASES, id)) then
  return 0
end
-- As it came: it is only handed on.
job.progress = ARGV[5]
save(id, job)
close()
return 1
