-- Removes what a run left that the ledger did not accept. The job's state goes only while it is still that run's: a
-- newer run of the same job may have taken it over.
-- KEYS: job (a row: job-row.ts), its specification, offers
-- ARGV: offer's entry id, consumer group, dispatch, attempt, channel of the queue's events (in the same slot)
-- Result: 1 when the job's state went too, else 0
local job, offers = KEYS[1], KEYS[3]
redis.call('XACK', offers, ARGV[2], ARGV[1])
redis.call('XDEL', offers, ARGV[1])
local record = redis.call('GET', job)
local row = record and row_of(record)
if row and row[DISPATCH] == tonumber(ARGV[3]) and row[ATTEMPT] == tonumber(ARGV[4]) then
  if row[WATCHED] == 1 then
    redis.call('SPUBLISH', ARGV[5], 's' .. string.match(job, '[^:]+$'))
  end
  redis.call('DEL', KEYS[2])
  return redis.call('DEL', job)
end
return 0
