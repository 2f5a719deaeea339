-- Makes an accepted run the job's final state in this region, hands its envelope to the batch writer, and tells webhooks.
-- The offer goes in the same step, so that whoever settles it second (after a crash, or beside a peer) adds nothing.
-- KEYS: job (a row: job-row.ts), its specification, offers, outbox, webhooks
-- ARGV: offer's entry id, consumer group, dispatch, attempt, final status, seconds to keep the job, envelope (JSON),
--       channel of the queue's events (in the same slot), what webhooks tell (JSON; empty: nothing)
-- Result: "settled" | "gone" (settled before)
local job, offers, outbox = KEYS[1], KEYS[3], KEYS[4]
local entry, group = ARGV[1], ARGV[2]
-- First what gives memory back: a Redis that is full then lets the rest of the step pass.
redis.call('XACK', offers, group, entry)
if redis.call('XDEL', offers, entry) == 0 then
  return 'gone'
end
redis.call('XADD', outbox, '*', 'envelope', ARGV[7])
if ARGV[9] ~= '' then
  redis.call('XADD', KEYS[5], '*', 'event', ARGV[9])
end
local record = redis.call('GET', job)
local row = record and row_of(record)
if row and row[DISPATCH] == tonumber(ARGV[3]) and row[ATTEMPT] == tonumber(ARGV[4]) then
  row[STATUS], row[VER] = ARGV[5], row[VER] + 1
  redis.call('SET', job, record_of(row), 'EX', ARGV[6])
  redis.call('EXPIRE', KEYS[2], ARGV[6])
  if row[WATCHED] == 1 then
    redis.call('SPUBLISH', ARGV[8], 's' .. string.match(job, '[^:]+$'))
  end
end
return 'settled'
