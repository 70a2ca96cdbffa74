-- The next job that has come to rest, with all that is kept of it. It comes again after a while unless pack.lua was called.
-- ARGV: 1 JSON {now}. Answers {job, proof, parts}; 1 if there is none among the first; nothing if no more are to be looked at.
local MOST = 100
local at = now_ms(a.now)

-- What ended before there was packing is looked at once, a few at a time; sr:clock holds how far that is. There was an
-- index of all jobs then.
local function look_at_earlier()
  local from = get('sr:clock', 'packing') or '-inf'
  if from == '+inf' then return end
  local found = call('ZRANGE', 'sr:ended', from, '+inf', 'BYSCORE', 'LIMIT', 0, MOST, 'WITHSCORES')
  local last = found[#found]
  for i = 1, #found, 2 do
    local packed = is_ref(found[i]) or call('HEXISTS', record_key(found[i]), 'packed') == 1
    if not packed then call('ZADD', 'sr:unpacked', 'NX', at, found[i]) end
  end
  call('UNLINK', 'sr:jobs')
  if #found < 2 * MOST then last = '+inf' elseif last == from then last = '(' .. last end
  set('sr:clock', 'packing', last)
end

local due = call('ZRANGE', 'sr:unpacked', '-inf', at, 'BYSCORE', 'LIMIT', 0, MOST)
for _, job in ipairs(due) do
  local rests = is_at_rest(job)
  call('ZREM', 'sr:unpacked', job) -- first, as it takes no memory: a full server lets the rest pass too
  call('ZADD', 'sr:unpacked', at + (rests and C.pack_after_ms or C.restless_ms), job)
  if rests then
    local parts = parts_of(job)
    return {job, proof_of(parts), parts}
  end
end
look_at_earlier()
return #due > 0 and 1
