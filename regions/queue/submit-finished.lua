-- Takes a job whose result is known, and ends it as attempt 1.
-- ARGV: now, job id, dispatch, spec (JSON), tenant, lane, {offer, envelope} (JSON)
-- Result: "queued" | "duplicate" | "stale"
local outcome, job = admit(ARGV[2], tonumber(ARGV[3]), ARGV[4])
if outcome == 'new' then
  outcome = 'queued'
  job[TENANT], job[LANE] = ARGV[5], tonumber(ARGV[6])
  job[ATTEMPT], job[FINISHED], job[STARTED] = 1, 1, NOW
  offer(job, ARGV[7])
end
close()
return outcome
