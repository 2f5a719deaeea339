-- Hands a run back before it ended. It goes to the end of its line: a stream has no way to the front.
-- KEYS: job, ready line of the job, leases, offers
-- ARGV: now or "", job id, dispatch, attempt, "1" if the attempt counts, attempts allowed, {offer, envelope} (JSON) of
--       the failure, should this have been the last attempt
-- Result: "requeued" | "exhausted" | "fenced"
local job, ready, leases, offers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, dispatch = ARGV[2], ARGV[3]
if not holds(job, leases, id, dispatch, ARGV[4], now_ms(ARGV[1])) then
  return 'fenced'
end
if ARGV[5] == '1' then
  return end_attempt(job, ready, leases, offers, id, dispatch, tonumber(ARGV[6]), ARGV[7])
end
redis.call('ZREM', leases, id)
enqueue(job, ready, id, dispatch)
return 'requeued'
