-- What is kept of a job in Redis: a row with a place for each field, given by its name: job[STATUS]. Goes before every script that reads
-- or writes one; job-row.ts knows the fields, and puts in what stands here in capitals.
local struct_pack, struct_unpack, first_byte = struct.pack, struct.unpack, string.byte
-- The first bytes of records: of the usual fields alone, and of all.
local USUAL, WHOLE = 1, 2

-- A row of nothing; `id` and `key` are the job's.
local function new_row(id, key)
  return { id, key, false, RARE_NOTHINGS, USUAL_NOTHINGS }
end

-- The row of a record that was kept as a map (MessagePack). When its lease ends such a one does not say: EXPIRES is -1.
local function row_of_map(map, id, key)
  local row = new_row(id, key)
  row[DISPATCH], row[ATTEMPT], row[VER], row[STATUS], row[EXPIRES] = map.dispatch, map.attempt, map.ver or 0, map.status, -1
  row[TENANT], row[LANE], row[COST], row[SEQ], row[AT] = map.tenant or '', map.lane or 1, map.cost or 0, map.seq or 0, map.at or 0
  row[TAG], row[WHERE], row[CAP], row[DEADLINE], row[NEEDS] = map.tag or -1, map.where or '', map.cap or 0, map.deadline or 0, map.v or 1
  row[TRIED], row[STALLS], row[PASSES], row[PASSED_AT] = map.tried or 0, map.stalls or 0, map.passes or 0, map.passed_at or 0
  row[WORKER], row[STARTED], row[FINISHED], row[HISTORY] = map.worker or '', map.started or 0, map.finished or 0, map.history or ''
  row[PROGRESS] = map.progress and tostring(map.progress) or ''
  row[CANCEL], row[WATCHED] = map.cancel and 1 or 0, map.watched and 1 or 0
  return row
end

-- The row of a record.
local function row_of(record, id, key)
  local form = first_byte(record)
  if form == USUAL then
    return { id, key, false, RARE_NOTHINGS, struct_unpack(READ_USUAL, record, 2) }
  elseif form == WHOLE then
    return { id, key, false, struct_unpack(READ_WHOLE, record, 2) }
  end
  return row_of_map(cmsgpack.unpack(record), id, key)
end

local function record_of(row)
  if IS_USUAL then
    return struct_pack(WRITE_USUAL, USUAL, unpack(row, FIRST_USUAL, LAST))
  end
  return struct_pack(WRITE_WHOLE, WHOLE, unpack(row, FIRST, LAST))
end
