-- Gives a reader of a group its next entries, up to a number of them and of bytes: what the reader then holds is less than the bytes
-- and one entry more, whatever came before. It is one step, and so is written to the disk once however many there are.
-- KEYS: stream
-- ARGV: group, consumer, most entries, most bytes, and to take over what others took and have not removed: for how many ms it
--       has lain (else empty: what nobody took yet)
-- Result: how many entries were looked at; those that are there; the id up to which the group has taken entries, when none was left
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local most, room, idle = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local looked, entries = 0, {}

local function add(entry)
  entries[#entries + 1] = entry
  for _, text in ipairs(entry[2]) do
    room = room - #text
  end
end

if idle ~= '' then
  for _, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', idle, '-', '+', most)) do
    if room <= 0 then
      break
    end
    looked = looked + 1
    -- One that was removed since leaves the group with this, and is not among the answer.
    local claimed = redis.call('XCLAIM', stream, group, consumer, idle, pending[1])[1]
    if claimed then
      add(claimed)
    end
  end
  return { looked, entries }
end

while looked < most and room > 0 do
  local read = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
  if not read then
    break
  end
  looked = looked + 1
  add(read[1][2][1])
end
if looked > 0 then
  return { looked, entries }
end
for _, facts in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local of = {}
  for at = 1, #facts, 2 do
    of[facts[at]] = facts[at + 1]
  end
  if of['name'] == group then
    return { 0, entries, of['last-delivered-id'] }
  end
end
