-- Promotes what is due, and lists what has to be ended or taken back; reap.lua and end-waiting.lua then take each one, with its
-- end made ready for it outside.
-- ARGV: now, most to list of each kind
-- Result: { { "stalled" | "overdue", job id, dispatch, attempt, spec, tenant, started at, worker, stalls, cancel, now }, ... }
take_over_old_book()
promote()
local list = {}
local function add_to_list(kind, ids)
  read_jobs(ids)
  for _, id in ipairs(ids) do
    local job = jobs[id] or {}
    list[#list + 1] = { kind, id, tostring(job.dispatch or ''), tostring(job.attempt or ''), call('GET', SPEC .. id) or '',
      job.tenant or '', tostring(job.started or ''), job.worker or '', tostring(job.stalls or 0), job.cancel and '1' or '',
      tostring(NOW) }
  end
end
add_to_list('stalled', call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
add_to_list('overdue', call('ZRANGEBYSCORE', DEADLINES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
close()
return list
