-- The reports of workers that still count; those that do not are dropped.
-- ARGV: now
-- Result: { now, "<when it was reported>|<report (JSON)>", ... }
local silent = call('ZRANGEBYSCORE', P .. 'workers', '-inf', NOW)
if #silent > 0 then
  call('ZREM', P .. 'workers', unpack(silent))
  call('HDEL', P .. 'workers:load', unpack(silent))
end
return { NOW, unpack(call('HVALS', P .. 'workers:load')) }
