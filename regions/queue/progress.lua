-- Notes how far a run is.
-- ARGV: now, job id, dispatch, attempt, fraction
-- Result: 1, or 0 when the run was fenced
local job = job_of(ARGV[2])
if not holds(job, ARGV[3], ARGV[4]) then
  return 0
end
-- As it came: it is only handed on.
job[PROGRESS] = ARGV[5]
save(job)
close()
return 1
