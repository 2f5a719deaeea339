-- Removes what stages gave for a recording.
-- KEYS: recording, index, sizes, total
-- Result: entries that were removed
local recording, index, sizes, total = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local entries = redis.call('HLEN', recording)
redis.call('DEL', recording)
redis.call('DECRBY', total, redis.call('HGET', sizes, recording) or 0)
redis.call('HDEL', sizes, recording)
redis.call('ZREM', index, recording)
return entries
