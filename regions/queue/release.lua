-- Hands a run back before it ended.
-- ARGV: now, job id, dispatch, attempt, "drain" | "error", and for an error: pause in ms, attempts allowed, record of the attempt
--       (JSON), {offer, envelope} (JSON) of the failure should this have been the last attempt, its code, its reason
-- Result: "requeued" | "failed" | "canceling" (nothing was done: the run is to end as canceled) | "fenced"
open_book()
local id, attempt = ARGV[2], ARGV[4]
local found = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'cancel', 'tried')
if not holds(found, ARGV[3], attempt, call('ZSCORE', LEASES, id)) then
  return 'fenced'
end
if found[4] then
  return 'canceling'
end
local job = read_run(id)
local outcome = 'requeued'
if ARGV[5] == 'drain' then
  again(id, job, 0, {})
else
  local tried, history = (found[5] or 0) + 1, history_with(id, ARGV[8])
  if tried < tonumber(ARGV[7]) then
    -- An error is an answer: the worker lived, so what the job had lost by silence it gets back.
    again(id, job, tonumber(ARGV[6]), { 'tried', tried, 'stalls', 0, 'history', history })
  else
    end_run(id, job[2], job[8])
    offer(id, ARGV[9], job[6], job[7], 'history', history)
    bury(id, attempt, ARGV[10], ARGV[11])
    outcome = 'failed'
  end
end
close_book()
return outcome
