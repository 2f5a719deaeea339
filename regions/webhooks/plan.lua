-- Turns an event into deliveries. The event goes in the same step, so that whoever plans it second (after a crash, or beside a
-- peer) adds nothing; nor does a delivery that was made before.
-- KEYS: events, lanes, pending, rows
-- ARGV: consumer group, entry id, now (Unix ms), prefix of the other keys, seconds to keep a sealed result, most that may
--       wait in a lane, most bytes of sealed results of a tenant, tenant, sealed result or '', then of each delivery: id, lane,
--       record (JSON), row for when there is no room
-- Result: deliveries made, and those for which there was no room; or false when the event is gone
local events, lanes, pending, rows = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, prefix, most, budget = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7])
-- Bytes of the tenant's sealed results by delivery, and of all.
local room = prefix .. 'room:' .. ARGV[8]
local bytes = #ARGV[9]
redis.call('XACK', events, ARGV[1], ARGV[2])
if redis.call('XDEL', events, ARGV[2]) == 0 then
  return false
end
local made, full = 0, 0
for at = 10, #ARGV, 4 do
  local id, lane = ARGV[at], ARGV[at + 1]
  local record, waiting = prefix .. 'delivery:' .. id, prefix .. 'lane:' .. lane
  if redis.call('EXISTS', record) == 1 then
    -- It was made before.
  elseif redis.call('ZCARD', waiting) >= most
    or (bytes > 0 and tonumber(redis.call('HGET', room, 'all') or 0) + bytes > budget) then
    redis.call('XADD', rows, '*', 'row', ARGV[at + 3])
    full = full + 1
  else
    redis.call('SET', record, ARGV[at + 2])
    if bytes > 0 then
      redis.call('SET', prefix .. 'sealed:' .. id, ARGV[9], 'EX', ARGV[5])
      redis.call('HSET', room, id, bytes)
      redis.call('HINCRBY', room, 'all', bytes)
      -- With the last of them, whatever became of their deliveries.
      redis.call('EXPIRE', room, ARGV[5])
    end
    redis.call('ZADD', waiting, now, id)
    redis.call('ZADD', pending, now, id)
    redis.call('ZADD', lanes, 'LT', now, lane)
    made = made + 1
  end
end
return { made, full }
