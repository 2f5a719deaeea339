-- Asks for the end of a job. One that runs is marked, and its worker told; one that waits is ended by end-waiting.lua.
-- ARGV: now, job id
-- Result: { "unknown" | "too_late" | "canceling" } or { "waiting", dispatch, attempt, spec, now, tenant }
local id = ARGV[2]
local job = job_of(id)
if not job then
  return { 'unknown' }
elseif job[STATUS] == 'queued' then
  local spec = call('GET', SPEC .. id) or ''
  return { 'waiting', tostring(job[DISPATCH]), tostring(job[ATTEMPT]), spec, tostring(NOW), job[TENANT] }
elseif job[STATUS] == 'running' then
  job[CANCEL] = 1
  keep(job)
  close()
  call('SPUBLISH', EVENTS, 'c' .. id)
  return { 'canceling' }
end
return { 'too_late' }
