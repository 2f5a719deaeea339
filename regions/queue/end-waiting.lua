-- Ends a job that waits or is delayed, as an attempt of its own that no worker ran.
-- ARGV: now, job id, dispatch, attempt so far, {offer, envelope} (JSON) of the attempt after it
-- Result: 1, or 0 when it does not wait any more
open_book()
local id = ARGV[2]
local job = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'lane', 'tenant', 'cost', 'deadline', 'watched', 'ver')
if job[3] ~= 'queued' then
  -- Deadlines are kept of waiting jobs alone.
  call('ZREM', DEADLINES, id)
  return 0
end
if job[1] ~= ARGV[3] or job[2] ~= ARGV[4] then
  return 0
end
withdraw(id, tonumber(job[4]), job[5], tonumber(job[6]), job[7])
offer(id, ARGV[5], job[8], job[9], 'attempt', job[2] + 1)
close_book()
return 1
