-- What is known of a job.
-- KEYS: as submit.lua has them
-- Result: { spec, dispatch, attempt, status, started at, progress, jobs ahead }, or {} for an unknown job
local job = KEYS[1]
local state = redis.call('HMGET', job, 'spec', 'dispatch', 'attempt', 'status', 'started_at', 'progress', 'line')
if not state[1] then
  return {}
end
local jobs = ahead(job, 3, tonumber(state[7]))
return { state[1], state[2], state[3], state[4], state[5] or '', state[6] or '', jobs }
