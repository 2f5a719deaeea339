-- Asks for the end of a job. One that runs is marked, and its worker told; one that waits is ended by end-waiting.lua.
-- ARGV: now, job id
-- Result: { "unknown" | "too_late" | "canceling" } or { "waiting", dispatch, attempt, spec, now }
local id = ARGV[2]
local job = call('HMGET', JOB .. id, 'status', 'dispatch', 'attempt', 'spec')
if not job[1] then
  return { 'unknown' }
elseif job[1] == 'queued' then
  return { 'waiting', job[2], job[3], job[4], tostring(NOW) }
elseif job[1] == 'running' then
  call('HSET', JOB .. id, 'cancel', 1)
  call('SPUBLISH', EVENTS, 'c' .. id)
  return { 'canceling' }
end
return { 'too_late' }
