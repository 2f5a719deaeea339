-- Takes a job, once for each dispatch; a newer dispatch revokes whatever waits or runs under an older one.
-- KEYS: job, leases, ready lines from the highest priority to the lowest
-- ARGV: job id, dispatch, spec (JSON), index of the job's line in KEYS
-- Result: { "queued" | "duplicate" | "stale", jobs ahead }
local job, leases = KEYS[1], KEYS[2]
local id, dispatch, spec, line = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local old = redis.call('HMGET', job, 'dispatch', 'entry', 'line')
if old[1] then
  local difference = tonumber(dispatch) - tonumber(old[1])
  if difference < 0 then
    return { 'stale', 0 }
  end
  if difference == 0 then
    return { 'duplicate', ahead(job, 3, tonumber(old[3])) }
  end
  if old[2] then
    redis.call('XDEL', KEYS[tonumber(old[3])], old[2])
  end
  redis.call('ZREM', leases, id)
  redis.call('DEL', job)
end

redis.call('HSET', job, 'spec', spec, 'dispatch', dispatch, 'attempt', 0, 'tried', 0, 'line', line)
enqueue(job, KEYS[line], id, dispatch)
return { 'queued', ahead(job, 3, line) }
