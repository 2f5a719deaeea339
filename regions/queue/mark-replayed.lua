-- Marks a dead letter with the job that replays it, once.
-- ARGV: now, id of the entry, id of the new job
-- Result: the id of the job that it is marked with, or "" for an unknown letter
if #call('XRANGE', DEAD, ARGV[2], ARGV[2]) == 0 then
  return ''
end
call('HSETNX', P .. 'dead:replayed', ARGV[2], ARGV[3])
return call('HGET', P .. 'dead:replayed', ARGV[2])
