-- What is known of a job.
-- ARGV: now, job id, "1" to have every change of it told
-- Result: { tenant, dispatch, attempt, status, started at, progress, version, jobs ahead }, or {} for an unknown job
local id = ARGV[2]
local job = job_of(id)
if not job then
  return {}
end
local status = job[STATUS]
local progress = job[PROGRESS]
if progress == '' then
  -- Nothing was said of it: a run begins with none, and one that was finished has all.
  progress = status == 'running' and '0' or (job[FINISHED] > 0 and '1') or ''
end
local started = job[STARTED] > 0 and tostring(job[STARTED]) or ''
if ARGV[3] == '1' and job[WATCHED] == 0 and (status == 'queued' or status == 'running' or status == 'offered') then
  job[WATCHED] = 1
  call('SET', job[KEY], record_of(job), 'KEEPTTL')
end
return { job[TENANT], job[DISPATCH], job[ATTEMPT], status, started, progress, job[VER], place(job) }
