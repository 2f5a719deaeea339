-- Ends a job that waits or is delayed, as an attempt of its own that no worker ran.
-- ARGV: now, job id, dispatch, attempt so far, {offer, envelope} (JSON) of the attempt after it
-- Result: 1, or 0 when it does not wait any more
local id = ARGV[2]
local job = job_of(id)
if not job or job.status ~= 'queued' then
  -- Deadlines are kept of waiting jobs alone.
  call('ZREM', DEADLINES, id)
  return 0
end
if job.dispatch ~= tonumber(ARGV[3]) or job.attempt ~= tonumber(ARGV[4]) then
  return 0
end
withdraw(id, job)
job.attempt = job.attempt + 1
offer(id, job, ARGV[5])
close()
return 1
