-- Ends runs: the lease goes and the offer comes in one step, so that a run either has an offer or will be run again.
-- ARGV: now, runs, then of each: job id, dispatch, attempt, {offer, envelope} (JSON)
-- Result: of each "offered" (also when this very run has been offered before) | "fenced"
local out, ids, args = {}, {}, ARGV
for i = 1, tonumber(args[2]) do
  ids[i] = args[4 * i - 1]
end
read_jobs(ids)
for i = 1, #ids do
  local job, dispatch, attempt = jobs[ids[i]], args[4 * i], args[4 * i + 1]
  if holds(job, dispatch, attempt) then
    end_run(job)
    job[PROGRESS], job[FINISHED] = '', job[ATTEMPT]
    offer(job, args[4 * i + 2])
    out[i] = 'offered'
  else
    -- A caller whose first answer got lost on the way asks again.
    local again = job and job[DISPATCH] == tonumber(dispatch) and job[FINISHED] == tonumber(attempt)
    out[i] = again and 'offered' or 'fenced'
  end
end
close()
return out
