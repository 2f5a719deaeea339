-- Lets a delivery begin anew, unless it is under way.
-- KEYS: lanes, pending
-- ARGV: now (Unix ms), prefix of the other keys, id, lane, record (JSON)
-- Result: 1, or 0 when it is under way
local now, prefix, id, lane = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('ZSCORE', prefix .. 'running:' .. lane, id) then
  return 0
end
redis.call('SET', prefix .. 'delivery:' .. id, ARGV[5])
redis.call('ZADD', prefix .. 'lane:' .. lane, now, id)
redis.call('ZADD', KEYS[2], now, id)
redis.call('HDEL', prefix .. 'health:' .. lane, 'hold')
redis.call('ZADD', KEYS[1], 'LT', now, lane)
return 1
