-- Moves an entry that can never be handled out of the way of the others, with the reason.
-- KEYS: stream, dead letters
-- ARGV: entry id, consumer group, reason
-- Result: 1, or 0 when the entry is not there any more
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
redis.call('XACK', KEYS[1], ARGV[2], ARGV[1])
if not entry then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'reason', ARGV[3], 'from', ARGV[1], unpack(entry[2]))
return redis.call('XDEL', KEYS[1], ARGV[1])
