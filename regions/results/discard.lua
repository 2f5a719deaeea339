-- Removes what a run left that the ledger did not accept. The job's state goes only while it is still that run's: a
-- newer run of the same job may have taken it over.
-- KEYS: job (MessagePack, as the queue keeps it), its specification, offers
-- ARGV: offer's entry id, consumer group, dispatch, attempt, channel of the queue's events (in the same slot)
-- Result: 1 when the job's state went too, else 0
local job, offers = KEYS[1], KEYS[3]
redis.call('XACK', offers, ARGV[2], ARGV[1])
redis.call('XDEL', offers, ARGV[1])
local packed = redis.call('GET', job)
local state = packed and cmsgpack.unpack(packed)
if state and state.dispatch == tonumber(ARGV[3]) and state.attempt == tonumber(ARGV[4]) then
  if state.watched then
    redis.call('SPUBLISH', ARGV[5], 's' .. string.match(job, '[^:]+$'))
  end
  redis.call('DEL', KEYS[2])
  return redis.call('DEL', job)
end
return 0
