-- Lists runs whose lease is over, and changes nothing: reap.lua takes each one, with the failure to offer made ready
-- for it outside.
-- KEYS: leases
-- ARGV: now or "", most to list, prefix of job keys (same slot)
-- Result: { { job id, dispatch, attempt, spec, started at, now }, ... }; the fields after the id are "" for a lost job
local now = now_ms(ARGV[1])
local list = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local state = redis.call('HMGET', ARGV[3] .. id, 'dispatch', 'attempt', 'spec', 'started_at')
  list[#list + 1] = { id, state[1] or '', state[2] or '', state[3] or '', state[4] or '', tostring(now) }
end
return list
