-- Removes fields of a hash whose value (a time) is not later than a bound: what was written anew meanwhile stays.
-- KEYS: hash
-- ARGV: bound, fields
for at = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[at])
  if value and tonumber(value) <= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
