-- Puts a history in the place of the one that it was made from.
-- KEYS[1]: the history: v, its version; json. ARGV: the version that it was made from, history (JSON)
-- Result: 1, or 0 when somebody else was faster
if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'v', ARGV[1] + 1, 'json', ARGV[2])
return 1
