-- Keeps what a worker says of itself, until it is too old.
-- ARGV: now, worker id, ms it counts for, report (JSON)
call('ZADD', P .. 'workers', NOW + ARGV[3], ARGV[2])
call('HSET', P .. 'workers:load', ARGV[2], NOW .. '|' .. ARGV[4])
return 1
