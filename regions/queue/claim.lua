-- Takes the next waiting job and its lease, as a new attempt. What waits leaves its line at once: from here on the
-- lease alone says who holds the job, and a pending entry would be a second record to keep in step with it.
-- KEYS: leases, ready lines in the order to try them
-- ARGV: now or "", lease in ms, worker id, prefix of job keys (same slot)
-- Result: { spec, dispatch, attempt, tried, now, lease expiry }, or {} when nothing waits
local leases = KEYS[1]
local now, lease_ms, worker, prefix = now_ms(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

local function next_entry(ready)
  local read = redis.pcall('XREADGROUP', 'GROUP', 'workers', 'claim', 'NOACK', 'COUNT', 1, 'STREAMS', ready, '>')
  if read and read.err then
    if not string.find(read.err, 'NOGROUP', 1, true) then
      return error(read)
    end
    redis.call('XGROUP', 'CREATE', ready, 'workers', 0, 'MKSTREAM')
    return next_entry(ready)
  end
  return read and read[1][2][1]
end

for line = 2, #KEYS do
  local entry = next_entry(KEYS[line])
  while entry do
    redis.call('XDEL', KEYS[line], entry[1])
    local id = entry[2][2]
    local job = prefix .. id
    local state = redis.call('HMGET', job, 'status', 'entry', 'spec', 'dispatch', 'tried')
    if state[1] == 'queued' and state[2] == entry[1] then
      local attempt = redis.call('HINCRBY', job, 'attempt', 1)
      redis.call('HSET', job, 'status', 'running', 'worker', worker, 'started_at', now, 'progress', 0)
      redis.call('HDEL', job, 'entry')
      redis.call('ZADD', leases, now + lease_ms, id)
      return { state[3], tonumber(state[4]), attempt, tonumber(state[5]), now, now + lease_ms }
    end
    entry = next_entry(KEYS[line])
  end
end
return {}
