-- Takes a job whose result is known, and ends it as attempt 1.
-- ARGV: now, job id, dispatch, spec (JSON), tenant, lane, {offer, envelope} (JSON)
-- Result: "queued" | "duplicate" | "stale"
open_book()
local id, dispatch = ARGV[2], ARGV[3]
local outcome, carried = admit(id, dispatch)
if outcome == 'new' then
  call('HSET', JOB .. id, 'spec', ARGV[4], 'dispatch', dispatch, 'attempt', 1, 'finished', 1, 'status', 'offered',
    'tenant', ARGV[5], 'lane', ARGV[6], 'seq', 0, 'cost', 0, 'at', NOW, 'started_at', NOW, 'progress', 1, unpack(carried))
  call('XADD', OFFERS, '*', 'offer', ARGV[7])
  outcome = 'queued'
end
close_book()
return outcome
