-- Ends a job that waits or is delayed, as an attempt of its own that no worker ran.
-- ARGV: now, job id, dispatch, attempt so far, {offer, envelope} (JSON) of the attempt after it
-- Result: 1, or 0 when it does not wait any more
local id = ARGV[2]
local job = job_of(id)
if not job or job[STATUS] ~= 'queued' then
  -- Deadlines are kept of waiting jobs alone.
  call('ZREM', DEADLINES, id)
  return 0
end
if job[DISPATCH] ~= tonumber(ARGV[3]) or job[ATTEMPT] ~= tonumber(ARGV[4]) then
  return 0
end
withdraw(job)
job[ATTEMPT] = job[ATTEMPT] + 1
offer(job, ARGV[5])
close()
return 1
