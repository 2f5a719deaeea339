-- What is known of a job.
-- ARGV: now, job id, "1" to have every change of it told
-- Result: { tenant, dispatch, attempt, status, started at, progress, version, jobs ahead }, or {} for an unknown job
local id = ARGV[2]
local job = job_of(id)
if not job then
  return {}
end
local state = { job.tenant, job.dispatch, job.attempt, job.status, tostring(job.started or ''), tostring(job.progress or ''),
  job.ver, place(id, job) }
if ARGV[3] == '1' and not job.watched and (job.status == 'queued' or job.status == 'running' or job.status == 'offered') then
  job.watched = true
  call('SET', JOB .. id, cmsgpack.pack(job), 'KEEPTTL')
end
return state
