-- Removes entries that are done with.
-- KEYS: stream
-- ARGV: consumer group, entry ids
-- Result: number of entries removed
local ids = { unpack(ARGV, 2) }
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
return redis.call('XDEL', KEYS[1], unpack(ids))
