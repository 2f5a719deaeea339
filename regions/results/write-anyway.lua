#!lua flags=allow-oom
-- Runs commands in one step, also in a Redis that has no memory left.
-- KEYS: what the commands write to
-- ARGV: of each command the number of its words, then these
-- Result: the answer of each
local answers, at = {}, 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  answers[#answers + 1] = redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return answers
