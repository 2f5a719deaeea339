-- Makes an accepted run the job's final state in this region, and hands its envelope to the batch writer.
-- The offer goes in the same step, so that whoever settles it second (after a crash, or beside a peer) adds nothing.
-- KEYS: job, offers, outbox
-- ARGV: offer's entry id, consumer group, dispatch, attempt, final status, seconds to keep the job, envelope (JSON),
--       channel of the queue's events (in the same slot)
-- Result: "settled" | "gone" (settled before)
local job, offers, outbox = KEYS[1], KEYS[2], KEYS[3]
local entry, group = ARGV[1], ARGV[2]
redis.call('XACK', offers, group, entry)
if redis.call('XDEL', offers, entry) == 0 then
  return 'gone'
end
redis.call('XADD', outbox, '*', 'envelope', ARGV[7])
local state = redis.call('HMGET', job, 'dispatch', 'attempt', 'ver', 'watched')
if state[1] == ARGV[3] and state[2] == ARGV[4] then
  redis.call('HSET', job, 'status', ARGV[5], 'ver', (state[3] or 1) + 1)
  redis.call('EXPIRE', job, ARGV[6])
  if state[4] then
    redis.call('SPUBLISH', ARGV[8], 's' .. string.match(job, '[^:]+$'))
  end
end
return 'settled'
