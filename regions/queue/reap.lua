-- Takes a run whose lease is over from its worker. The attempt counts: a job that kills workers must come to an end.
-- KEYS: job, ready line of the job, leases, offers
-- ARGV: now or "", job id, dispatch, attempt, attempts allowed, {offer, envelope} (JSON) of the failure, should this
--       have been the last attempt
-- Result: "requeued" | "exhausted" | "kept" (renewed, ended or replaced in the meantime)
local job, ready, leases, offers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, dispatch = ARGV[2], ARGV[3]
local expires = redis.call('ZSCORE', leases, id)
if not expires or tonumber(expires) > now_ms(ARGV[1]) then
  return 'kept'
end
local state = redis.call('HMGET', job, 'dispatch', 'attempt', 'status')
if state[3] ~= 'running' then
  -- A lease without a running job (its hash is gone, or final): nothing to run again.
  redis.call('ZREM', leases, id)
  return 'kept'
end
if state[1] ~= dispatch or state[2] ~= ARGV[4] then
  return 'kept'
end
return end_attempt(job, ready, leases, offers, id, dispatch, tonumber(ARGV[5]), ARGV[6])
