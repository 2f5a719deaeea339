-- Promotes what is due, and lists what has to be ended or taken back; reap.lua and end-waiting.lua then take each one, with its
-- end made ready for it outside.
-- ARGV: now, most to list of each kind
-- Result: { { "stalled" | "overdue", job id, dispatch, attempt, spec, tenant, started at, worker, stalls, cancel, now }, ... }
open_book()
promote()
local list = {}
local function add_to_list(kind, ids)
  for _, id in ipairs(ids) do
    local job = call('HMGET', JOB .. id, 'dispatch', 'attempt', 'spec', 'tenant', 'started_at', 'worker', 'stalls', 'cancel')
    local row = { kind, id }
    for i = 1, 8 do
      row[i + 2] = job[i] or ''
    end
    row[11] = tostring(NOW)
    list[#list + 1] = row
  end
end
add_to_list('stalled', call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
add_to_list('overdue', call('ZRANGEBYSCORE', DEADLINES, '-inf', NOW, 'LIMIT', 0, ARGV[2]))
close_book()
return list
