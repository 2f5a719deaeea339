-- Ends runs: the lease goes and the offer comes in one step, so that a run either has an offer or will be run again.
-- ARGV: now, runs, then of each: job id, dispatch, attempt, {offer, envelope} (JSON)
-- Result: of each "offered" (also when this very run has been offered before) | "fenced"
open_book()
local out, ids, n = {}, {}, tonumber(ARGV[2])
for i = 1, n do
  ids[i] = ARGV[4 * i - 1]
end
local expiries = call('ZMSCORE', LEASES, unpack(ids))
for i = 1, n do
  local id, dispatch, attempt = ids[i], ARGV[4 * i], ARGV[4 * i + 1]
  local job = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'finished', 'tenant', 'watched', 'ver', 'cap')
  if holds(job, dispatch, attempt, expiries[i]) then
    end_run(id, job[5], job[8])
    offer(id, ARGV[4 * i + 2], job[6], job[7], 'progress', 1, 'finished', attempt)
    out[i] = 'offered'
  else
    -- A caller whose first answer got lost on the way asks again.
    out[i] = (job[1] == dispatch and job[4] == attempt) and 'offered' or 'fenced'
  end
end
close_book()
return out
