-- Removes a delivery of webhooks, and what it holds of its tenant's room. Whoever has it in hand, or finds its place in a lane,
-- finds no delivery there any more.
-- KEYS: delivery, its sealed result, the tenant's sealed results, pending
-- ARGV: id
-- Result: keys that were removed of delivery and sealed result
local room = KEYS[3]
local bytes = redis.call('HGET', room, ARGV[1])
if bytes then
  redis.call('HDEL', room, ARGV[1])
  redis.call('HINCRBY', room, 'all', -bytes)
end
redis.call('ZREM', KEYS[4], ARGV[1])
return redis.call('DEL', KEYS[1], KEYS[2])
