-- Remove every key of a job or of a submission. ARGV: 1 JSON {now, subject, remember_ms, fence}.
-- With fence 1 it only ends all attempts, so that nothing writes while the artifacts are removed.
-- What remains is a digest of the names, so that a late callback does not bring it back and pay for it again.
local FENCE_LEASES = 20 -- so long the removal of the artifacts may take before the work would go on
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local key = record_key(a.subject)
if call('EXISTS', key) == 0 then return 0 end
local got = call('HMGET', key, 'ref', 'renders', 'state', 'more_refs')
if got[3] == 'linked' then return 0 end -- it is its job's, and goes with it
call('ZREMRANGEBYSCORE', 'sr:erased', '-inf', at) -- first, as it takes no memory: a full server lets the rest pass too

local function stop(subject)
  local key = record_key(subject)
  call('HINCRBY', key, 'attempt', 1)
  call('HDEL', key, 'begun', 'nudge')
  -- If the erasing dies halfway, and nobody asks again, the job goes on and ends like any other.
  local class = call('HGET', key, 'class')
  if a.fence ~= 1 then clear_due(subject) elseif class then set_due(subject, class, at + FENCE_LEASES * C.lease_ms) end
end

local subjects = {a.subject}
for n = 1, tonumber(got[2] or '0') do subjects[#subjects + 1] = a.subject .. '/' .. n end
for _, subject in ipairs(subjects) do stop(subject) end
if a.fence == 1 then return #subjects end

index(a.subject, shown(a.subject, got[3]), nil)
call('ZREM', 'sr:unarchived', a.subject)
for _, subject in ipairs(subjects) do call('DEL', record_key(subject)) end
for _, family in ipairs({'timeline', 'callbacks', 'bodies', 'seen'}) do call('DEL', 'sr:' .. family .. ':' .. a.subject) end
local names = {is_ref(a.subject) and string.sub(a.subject, 5) or a.subject}
for ref in string.gmatch((got[1] or '') .. (got[4] or ''), '%S+') do
  names[#names + 1] = ref
  call('DEL', 'sr:ref:' .. ref)
end
for _, name in ipairs(names) do call('ZADD', 'sr:erased', at + a.remember_ms, redis.sha1hex(name)) end
return #subjects
