-- Turns an event into deliveries. The event goes in the same step, so that whoever plans it second (after a crash, or beside a
-- peer) adds nothing; nor does a delivery that was made before.
-- KEYS: events, lanes, pending, rows
-- ARGV: consumer group, entry id, now (Unix ms), prefix of the other keys, seconds to keep a sealed result, most that may
--       wait in a lane, then of each delivery: id, lane, record (JSON), sealed result or '', row for when the lane is full
-- Result: deliveries made, and those for which there was no room; or false when the event is gone
local events, lanes, pending, rows = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, prefix, most = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6])
redis.call('XACK', events, ARGV[1], ARGV[2])
if redis.call('XDEL', events, ARGV[2]) == 0 then
  return false
end
local made, full = 0, 0
for at = 7, #ARGV, 5 do
  local id, lane = ARGV[at], ARGV[at + 1]
  local record, waiting = prefix .. 'delivery:' .. id, prefix .. 'lane:' .. lane
  if redis.call('ZCARD', waiting) >= most then
    redis.call('XADD', rows, '*', 'row', ARGV[at + 4])
    full = full + 1
  elseif redis.call('SET', record, ARGV[at + 2], 'NX') then
    if ARGV[at + 3] ~= '' then
      redis.call('SET', prefix .. 'sealed:' .. id, ARGV[at + 3], 'EX', ARGV[5])
    end
    redis.call('ZADD', waiting, now, id)
    redis.call('ZADD', pending, now, id)
    redis.call('ZADD', lanes, 'LT', now, lane)
    made = made + 1
  end
end
return { made, full }
