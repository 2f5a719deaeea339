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
    local job, spec = jobs[id], call('GET', SPEC .. id) or ''
    local row = { kind, id, '', '', spec, '', '', '', '0', '', tostring(NOW) }
    if job then
      row[3], row[4], row[6] = tostring(job[DISPATCH]), tostring(job[ATTEMPT]), job[TENANT]
      row[7], row[8] = job[STARTED] > 0 and tostring(job[STARTED]) or '', job[WORKER]
      row[9], row[10] = tostring(job[STALLS]), job[CANCEL] == 1 and '1' or ''
    end
    list[#list + 1] = row
  end
end
add_to_list('stalled', call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
add_to_list('overdue', call('ZRANGEBYSCORE', DEADLINES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
close()
return list
