-- Writes down how a try went, unless another has taken the delivery over since.
-- KEYS: lanes, pending, rows
-- ARGV: now, prefix of the other keys, id, lane, end of the lease it was taken under, record (JSON), when it is tried again (Unix ms;
--       '' when it never is), seconds to keep what has ended, row for the database or '', 'well' | 'ill' | '' (how the
--       target is, where it was asked), until when the lane is left alone (Unix ms, or 0), tenant
-- Result: failures of the lane since it was last well, and since when (Unix ms); false when it was taken over, or deleted
local lanes, pending, rows = KEYS[1], KEYS[2], KEYS[3]
local now, prefix, id, lane = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local running, health = prefix .. 'running:' .. lane, prefix .. 'health:' .. lane
local WEEK = 604800
local held = redis.call('ZSCORE', running, id)
if not held or tonumber(held) ~= tonumber(ARGV[5]) then
  return false
end
redis.call('ZREM', running, id)
-- It was deleted meanwhile, and must not come back.
if redis.call('EXISTS', prefix .. 'delivery:' .. id) == 0 then
  redis.call('ZREM', pending, id)
  redis.call('ZADD', lanes, 'LT', now, lane)
  return false
end
if ARGV[7] ~= '' then
  redis.call('SET', prefix .. 'delivery:' .. id, ARGV[6])
  redis.call('ZADD', prefix .. 'lane:' .. lane, ARGV[7], id)
else
  redis.call('SET', prefix .. 'delivery:' .. id, ARGV[6], 'EX', ARGV[8])
  redis.call('DEL', prefix .. 'sealed:' .. id)
  local room = prefix .. 'room:' .. ARGV[12]
  local bytes = redis.call('HGET', room, id)
  if bytes then
    redis.call('HDEL', room, id)
    redis.call('HINCRBY', room, 'all', -bytes)
  end
  redis.call('ZREM', pending, id)
end
if ARGV[9] ~= '' then
  redis.call('XADD', rows, '*', 'row', ARGV[9])
end
if ARGV[10] == 'well' then
  redis.call('HDEL', health, 'failures', 'since')
elseif ARGV[10] == 'ill' then
  redis.call('HINCRBY', health, 'failures', 1)
  redis.call('HSETNX', health, 'since', now)
end
if tonumber(ARGV[11]) > 0 then
  redis.call('HSET', health, 'hold', ARGV[11])
end
redis.call('EXPIRE', health, WEEK)
redis.call('ZADD', lanes, 'LT', now, lane)
local is = redis.call('HMGET', health, 'failures', 'since')
return { tonumber(is[1] or 0), is[2] or now }
