-- Takes a run whose lease is over from its worker. A job that kills workers must come to an end, so stalls are counted.
-- ARGV: now, job id, dispatch, attempt, "requeue" | "end", record of the attempt (JSON), {offer, envelope} (JSON) of the end,
--       code and reason of a dead letter, or ""
-- Result: "requeued" | "ended" | "kept" (renewed, ended, replaced or to be canceled in the meantime)
open_book()
local id, attempt = ARGV[2], ARGV[4]
local expires = call('ZSCORE', LEASES, id)
if not expires or tonumber(expires) > NOW then
  return 'kept'
end
local found = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'status', 'cancel', 'stalls')
if found[3] ~= 'running' then
  -- A lease without a running job (its record is gone, or final): nothing to run again.
  call('ZREM', LEASES, id)
  return 'kept'
end
if found[1] ~= ARGV[3] or found[2] ~= attempt then
  return 'kept'
end
local job = read_run(id)
local outcome
if ARGV[5] == 'requeue' then
  if found[4] then
    return 'kept'
  end
  again(id, job, 0, { 'stalls', (found[5] or 0) + 1, 'history', history_with(id, ARGV[6]) })
  outcome = 'requeued'
else
  end_run(id, job[2], job[8])
  offer(id, ARGV[7], job[6], job[7], 'history', history_with(id, ARGV[6]))
  if ARGV[8] ~= '' then
    bury(id, attempt, ARGV[8], ARGV[9])
  end
  outcome = 'ended'
end
close_book()
return outcome
