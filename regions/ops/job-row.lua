-- What is kept of a job in Redis: a row with a place for each field (job-row.ts). Goes before every script that reads or writes one;
-- there, places are given by their names: job[STATUS].
local struct_pack, struct_unpack, first_byte = struct.pack, struct.unpack, string.byte

-- The row of a record that was kept as a map (MessagePack). When its lease ends such a one does not say: EXPIRES is -1.
local function row_of_map(map)
  local row = { unpack(NOTHING, 1, LAST) }
  row[DISPATCH], row[ATTEMPT], row[VER], row[STATUS], row[EXPIRES] = map.dispatch, map.attempt, map.ver or 0, map.status, -1
  row[TENANT], row[LANE], row[COST], row[SEQ], row[AT] = map.tenant or '', map.lane or 1, map.cost or 0, map.seq or 0, map.at or 0
  row[TAG], row[WHERE], row[CAP], row[DEADLINE], row[NEEDS] = map.tag or -1, map.where or '', map.cap or 0, map.deadline or 0, map.v or 1
  row[TRIED], row[STALLS], row[PASSES], row[PASSED_AT] = map.tried or 0, map.stalls or 0, map.passes or 0, map.passed_at or 0
  row[WORKER], row[STARTED], row[FINISHED], row[HISTORY] = map.worker or '', map.started or 0, map.finished or 0, map.history or ''
  row[PROGRESS] = map.progress and tostring(map.progress) or ''
  row[CANCEL], row[WATCHED] = map.cancel and 1 or 0, map.watched and 1 or 0
  return row
end

-- The row of a record; `id` and `key` are the job's.
local function row_of(record, id, key)
  if first_byte(record) ~= NOTHING[FORMAT] then
    local row = row_of_map(cmsgpack.unpack(record))
    row[ID], row[KEY] = id, key
    return row
  end
  return { id, key, false, struct_unpack(LAYOUT, record) }
end

local function record_of(row)
  return struct_pack(LAYOUT, unpack(row, FIRST, LAST))
end
