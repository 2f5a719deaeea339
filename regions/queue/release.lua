-- Hands a run back before it ended.
-- ARGV: now, job id, dispatch, attempt, "drain" | "error", and for an error: pause in ms, attempts allowed, record of the attempt
--       (JSON), {offer, envelope} (JSON) of the failure should this have been the last attempt, its code, its reason
-- Result: "requeued" | "failed" | "canceling" (nothing was done: the run is to end as canceled) | "fenced"
local job = job_of(ARGV[2])
if not holds(job, ARGV[3], ARGV[4]) then
  return 'fenced'
end
if job[CANCEL] == 1 then
  return 'canceling'
end
local outcome = 'requeued'
if ARGV[5] == 'drain' then
  again(job, 0)
else
  job[TRIED] = job[TRIED] + 1
  remember(job, ARGV[8])
  if job[TRIED] < tonumber(ARGV[7]) then
    -- An error is an answer: the worker lived, so what the job had lost by silence it gets back.
    job[STALLS] = 0
    again(job, tonumber(ARGV[6]))
  else
    end_run(job)
    offer(job, ARGV[9])
    bury(job, ARGV[10], ARGV[11])
    outcome = 'failed'
  end
end
close()
return outcome
