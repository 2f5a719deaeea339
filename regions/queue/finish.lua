-- Ends a run: its lease goes and its offer comes in one step, so that a run either has an offer or will be run again.
-- KEYS: job, leases, offers
-- ARGV: now or "", job id, dispatch, attempt, {offer, envelope} (JSON)
-- Result: "offered" (also when this very run has been offered before) | "fenced"
local job, leases, offers = KEYS[1], KEYS[2], KEYS[3]
local id, dispatch, attempt = ARGV[2], ARGV[3], ARGV[4]
if holds(job, leases, id, dispatch, attempt, now_ms(ARGV[1])) then
  redis.call('ZREM', leases, id)
  redis.call('XADD', offers, '*', 'offer', ARGV[5])
  redis.call('HSET', job, 'status', 'offered', 'progress', 1, 'finished', attempt)
  return 'offered'
end
-- A caller whose first answer got lost on the way asks again.
local state = redis.call('HMGET', job, 'dispatch', 'finished')
if state[1] == dispatch and state[2] == attempt then
  return 'offered'
end
return 'fenced'
