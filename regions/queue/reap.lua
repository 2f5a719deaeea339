-- Takes a run whose lease is over from its worker. A job that kills workers must come to an end, so stalls are counted.
-- ARGV: now, job id, dispatch, attempt, "requeue" | "end", record of the attempt (JSON), {offer, envelope} (JSON) of the end,
--       code and reason of a dead letter, or ""
-- Result: "requeued" | "ended" | "kept" (renewed, ended, replaced or to be canceled in the meantime)
local id = ARGV[2]
local expires = call('ZSCORE', LEASES, id)
if not expires or tonumber(expires) > NOW then
  return 'kept'
end
local job = job_of(id)
if not job or job[STATUS] ~= 'running' then
  -- A lease without a running job (its record is gone, or final): nothing to run again.
  call('ZREM', LEASES, id)
  return 'kept'
end
if job[DISPATCH] ~= tonumber(ARGV[3]) or job[ATTEMPT] ~= tonumber(ARGV[4]) then
  return 'kept'
end
local outcome
if ARGV[5] == 'requeue' then
  if job[CANCEL] == 1 then
    return 'kept'
  end
  job[STALLS] = job[STALLS] + 1
  remember(job, ARGV[6])
  again(job, 0)
  outcome = 'requeued'
else
  remember(job, ARGV[6])
  end_run(job)
  offer(job, ARGV[7])
  if ARGV[8] ~= '' then
    bury(job, ARGV[8], ARGV[9])
  end
  outcome = 'ended'
end
close()
return outcome
