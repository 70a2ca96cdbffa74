-- Remove every key of a job or of a submission. ARGV: 1 JSON {now, subject, remember_ms, fence, old_ms or null, attempt or
-- null}. With attempt only as long as no later one has begun: whoever has that in hand may be submitting it.
-- With fence 1 it only ends all attempts, so that nothing writes while the artifacts are removed; with old_ms too, only
-- of what ended so long ago, has no delivery on its way, and is nobody else's to erase at this moment.
-- What remains is a digest of the names, so that a late callback does not bring it back and pay for it again.
local FENCE_LEASES = 20 -- so long the removal of the artifacts may take before the work would go on
local DELIVERIES_PAUSE_MS = 3600000 -- until a look whether the deliveries have been taken
local at = now_ms(a.now)
local key = record_key(a.subject)
if call('EXISTS', key) == 0 then return 0 end
local got = call('HMGET', key, 'ref', 'renders', 'state', 'more_refs', 'deliveries', 'news')
if got[3] == 'linked' then return 0 end -- it is its job's, and goes with it
local deliveries = tonumber(got[5] or '0')

call('ZREMRANGEBYSCORE', 'sr:erased', '-inf', at) -- first, as it takes no memory: a full server lets the rest pass too

local function is_on_its_way()
  for n = 1, deliveries do
    if get(record_key(a.subject .. '!' .. n), 'state') == 'pending' then return true end
  end
  return false
end

-- Whoever takes what is old puts it off for all others. If the erasing dies halfway, it is taken again after that.
local function is_taken()
  local ended = tonumber(call('ZSCORE', 'sr:ended', a.subject) or '')
  if not ended or ended > at - a.old_ms then return false end
  local waits = is_on_its_way()
  call('ZADD', 'sr:ended', at - a.old_ms + (waits and DELIVERIES_PAUSE_MS or FENCE_LEASES * C.lease_ms), a.subject)
  return not waits
end
if a.old_ms ~= cjson.null and not is_taken() then return 0 end
if a.attempt ~= cjson.null and get(key, 'attempt') ~= a.attempt then return 0 end

local function stop(subject)
  local key = record_key(subject)
  local line, nudge = unpack(call('HMGET', key, 'class', 'nudge'))
  -- It has the subject's name.
  local queue = nudge and line and 'rq:queue:' .. C.lane_of_class[class_of_line(line)]
  if queue and call('LREM', queue, 1, nudge) == 1 then call('DEL', 'rq:job:' .. nudge) end
  call('HINCRBY', key, 'attempt', 1)
  call('HDEL', key, 'begun', 'nudge')
  -- If the erasing dies halfway, and nobody asks again, the job goes on and ends like any other.
  if a.fence ~= 1 then clear_due(subject) elseif line then put_due(subject, line, at + FENCE_LEASES * C.lease_ms) end
end

local subjects = {a.subject}
for n = 1, tonumber(got[2] or '0') do subjects[#subjects + 1] = a.subject .. '/' .. n end
for n = 1, deliveries do subjects[#subjects + 1] = a.subject .. '!' .. n end
for _, subject in ipairs(subjects) do stop(subject) end
if a.fence == 1 then return #subjects end

-- The Idempotency-Key of a submission, unless it was taken for another one since.
local function forget_claim(ref)
  local claim = get('sr:ref:' .. ref, 'claim')
  local kept = claim and call('GET', 'sr:idempotency:' .. claim)
  if kept and cjson.decode(kept).ref == ref then call('DEL', 'sr:idempotency:' .. claim) end
end

local names, refs = {}, {}
if is_ref(a.subject) then refs[1] = string.sub(a.subject, 5) else names[1] = a.subject end
for ref in string.gmatch((got[1] or '') .. (got[4] or ''), '%S+') do refs[#refs + 1] = ref end
for _, ref in ipairs(refs) do
  names[#names + 1] = ref
  forget_claim(ref)
end
index(a.subject, shown(a.subject, got[3]), nil)
note_end(a.subject, shown(a.subject, got[3]), nil)
call('ZREM', 'sr:unarchived', a.subject)
call('ZREM', 'sr:freeing', a.subject)
for _, subject in ipairs(subjects) do
  call('ZREM', 'sr:deliveries:parked', subject)
  call('DEL', record_key(subject))
end
for _, family in ipairs({'timeline', 'callbacks', 'bodies', 'seen'}) do call('DEL', 'sr:' .. family .. ':' .. a.subject) end
local gone = {[a.subject] = true}
for _, ref in ipairs(refs) do
  gone['ref:' .. ref] = true
  call('DEL', 'sr:ref:' .. ref)
end

-- Nothing that was told of it stays. Who listens hears the digests, which tell the names to nobody who has not got them.
local digests = {}
for _, name in ipairs(names) do
  digests[#digests + 1] = redis.sha1hex(name)
  call('ZADD', 'sr:erased', at + a.remember_ms, digests[#digests])
end
local function is_before(id, other)
  local ms, n = string.match(id, '(%d+)-(%d+)')
  local other_ms, other_n = string.match(other, '(%d+)-(%d+)')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms < other_ms or (ms == other_ms and tonumber(n) < tonumber(other_n))
end
-- Of an old job nothing is left to be looked for, which saves looking through all of it.
local first = call('XRANGE', 'sr:events', '-', '+', 'COUNT', 1)[1]
local told = got[6] and first and not is_before(got[6], first[1])
for _, entry in ipairs(told and call('XRANGE', 'sr:events', '-', got[6]) or {}) do
  if gone[job_of(entry[2][2]) or ''] then call('XDEL', 'sr:events', entry[1]) end
end
put_news('', at, 'erased', '', '', 'digests', table.concat(digests, ' '))
return #subjects
