-- What is known of a job.
-- ARGV: now, job id, "1" to have every change of it told
-- Result: { tenant, dispatch, attempt, status, started at, progress, version, jobs ahead }, or {} for an unknown job
local id = ARGV[2]
local job = call('HMGET', JOB .. id, 'tenant', 'dispatch', 'attempt', 'status', 'started_at', 'progress', 'ver', 'watched', 'lane')
if not job[1] then
  return {}
end
if ARGV[3] == '1' and not job[8] then
  call('HSET', JOB .. id, 'watched', 1)
end
local ahead = 0
if job[4] == 'queued' then
  local lane = tonumber(job[9])
  local key = wait_key(lane, job[1])
  local rank = call('ZRANK', key, id)
  if rank then
    open_book()
    ahead = place(lane, rank, call('ZCARD', key))
  end
end
return { job[1], job[2], job[3], job[4], job[5] or '', job[6] or '', job[7] or '1', ahead }
