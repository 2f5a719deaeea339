-- Keeps what stages gave for a recording, and makes room for it: what has ended goes, and while all together is too much,
-- what would end next.
-- KEYS: recording, index, sizes, total
-- ARGV: now (Unix ms), end (Unix ms), most bytes of all, entries: field, value, ...
-- Result: recordings that made room before their end
local recording, index, sizes, total = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, ends, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- What Redis needs for an entry besides its text, roughly.
local OVERHEAD = 200
-- A step must stay short: what is left over goes with the next.
local MOST_REMOVED = 100

-- What was here before has ended, and has not been cleared away yet.
if redis.call('EXISTS', recording) == 0 then
  redis.call('DECRBY', total, redis.call('HGET', sizes, recording) or 0)
  redis.call('HDEL', sizes, recording)
  redis.call('ZREM', index, recording)
end

local bytes = 0
for at = 4, #ARGV, 2 do
  local field, value = ARGV[at], ARGV[at + 1]
  if redis.call('HEXISTS', recording, field) == 0 then
    bytes = bytes + OVERHEAD + #field
  end
  bytes = bytes + #value - redis.call('HSTRLEN', recording, field)
  redis.call('HSET', recording, field, value)
end
redis.call('ZADD', index, 'GT', ends, recording)
redis.call('PEXPIREAT', recording, redis.call('ZSCORE', index, recording))
redis.call('HINCRBY', sizes, recording, bytes)
local held = redis.call('INCRBY', total, bytes)

local early = 0
for _ = 1, MOST_REMOVED do
  local next = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
  if not next[1] then
    break
  end
  local over = tonumber(next[2]) <= now
  if not over and held <= most then
    break
  end
  redis.call('DEL', next[1])
  redis.call('ZREM', index, next[1])
  held = redis.call('DECRBY', total, redis.call('HGET', sizes, next[1]) or 0)
  redis.call('HDEL', sizes, next[1])
  early = early + (over and 0 or 1)
end
return early
