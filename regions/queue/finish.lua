-- Ends runs: the lease goes and the offer comes in one step, so that a run either has an offer or will be run again.
-- ARGV: now, runs, then of each: job id, dispatch, attempt, {offer, envelope} (JSON)
-- Result: of each "offered" (also when this very run has been offered before) | "fenced"
local out, ids, n = {}, {}, tonumber(ARGV[2])
for i = 1, n do
  ids[i] = ARGV[4 * i - 1]
end
read_jobs(ids)
local expiries = call('ZMSCORE', LEASES, unpack(ids))
for i, id in ipairs(ids) do
  local job, dispatch, attempt = jobs[id], ARGV[4 * i], ARGV[4 * i + 1]
  if holds(job, dispatch, attempt, expiries[i]) then
    end_run(id, job)
    job.progress, job.finished = 1, job.attempt
    offer(id, job, ARGV[4 * i + 2])
    out[i] = 'offered'
  else
    -- A caller whose first answer got lost on the way asks again.
    local again = job and job.dispatch == tonumber(dispatch) and job.finished == tonumber(attempt)
    out[i] = again and 'offered' or 'fenced'
  end
end
close()
return out
