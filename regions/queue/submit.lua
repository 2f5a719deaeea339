-- Takes jobs, each once for each dispatch; a newer dispatch revokes whatever waits or runs under an older one.
-- ARGV: now, jobs, then of each: id, dispatch, spec (JSON), version of the spec, tenant, lane, cost (compute-milliseconds),
--       most to run at once or "", deadline or "", not before or ""
-- Result: of each "queued" | "duplicate" | "stale", jobs ahead
open_book()
local out, placed = {}, {}
for i = 1, tonumber(ARGV[2]) do
  local a = 2 + (i - 1) * 10
  local id, dispatch, tenant, lane, cost = ARGV[a + 1], ARGV[a + 2], ARGV[a + 5], tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  local outcome, carried, old = admit(id, dispatch)
  out[2 * i - 1], out[2 * i] = outcome, 0
  if outcome == 'duplicate' then
    if old[2] == 'queued' then
      placed[#placed + 1] = { i, id, tonumber(old[3]), old[4] }
    end
  elseif outcome == 'new' then
    add('seq', 1)
    local n = #carried
    local function set(field, value)
      carried[n + 1], carried[n + 2] = field, value
      n = n + 2
    end
    if ARGV[a + 4] ~= '1' then
      set('v', ARGV[a + 4])
    end
    if ARGV[a + 8] ~= '' then
      set('cap', ARGV[a + 8])
    end
    if ARGV[a + 9] ~= '' then
      set('deadline', ARGV[a + 9])
      call('ZADD', DEADLINES, ARGV[a + 9], id)
    end
    local start = tonumber(ARGV[a + 10])
    local delayed = start and start > NOW
    call('HSET', JOB .. id, 'spec', ARGV[a + 3], 'dispatch', dispatch, 'attempt', 0, 'status', 'queued', 'tenant', tenant,
      'lane', lane, 'seq', book.seq, 'cost', cost, 'at', delayed and start or NOW, unpack(carried))
    if delayed then
      call('ZADD', DELAYED, start, id)
    else
      enqueue(lane, tenant, book.seq, id, cost)
      placed[#placed + 1] = { i, id, lane, tenant, #arrivals[lane .. '|' .. tenant].list / 2 }
    end
    out[2 * i - 1] = 'queued'
  end
end
local counts = {}
for key, group in pairs(arrivals) do
  counts[key] = #group.list / 2
end
flush_arrivals()
local sizes = {}
for _, job in ipairs(placed) do
  local i, id, lane, tenant, nth = unpack(job)
  local key = lane .. '|' .. tenant
  local own = sizes[key] or call('ZCARD', wait_key(lane, tenant))
  sizes[key] = own
  -- The newest of its tenant, unless it was here before.
  local rank = nth and (own - counts[key] + nth - 1) or call('ZRANK', wait_key(lane, tenant), id)
  if rank then
    out[2 * i] = place(lane, rank, own)
  end
end
close_book()
return out
