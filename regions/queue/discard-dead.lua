-- Removes dead letters.
-- ARGV: now, ids of entries
-- Result: how many there were
local n = 0
for i = 2, #ARGV do
  n = n + call('XDEL', DEAD, ARGV[i])
  call('HDEL', P .. 'dead:replayed', ARGV[i])
end
return n
