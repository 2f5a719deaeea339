-- Takes a job whose result is known, and ends it as attempt 1.
-- ARGV: now, job id, dispatch, spec (JSON), tenant, lane, {offer, envelope} (JSON)
-- Result: "queued" | "duplicate" | "stale"
local id = ARGV[2]
local outcome, job = admit(id, tonumber(ARGV[3]), ARGV[4])
if outcome == 'new' then
  outcome = 'queued'
  job.tenant, job.lane, job.cost, job.seq = ARGV[5], tonumber(ARGV[6]), 0, 0
  job.attempt, job.finished, job.started, job.progress = 1, 1, NOW, 1
  offer(id, job, ARGV[7])
end
close()
return outcome
