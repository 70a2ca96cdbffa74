-- Remove every key of a job or of a submission. ARGV: 1 JSON {now, subject, remember_ms, fence}.
-- With fence 1 it only ends all attempts, so that nothing writes while the artifacts are removed.
-- What remains is a digest of the names, so that a late callback does not bring it back and pay for it again.
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local key = record_key(a.subject)
if call('EXISTS', key) == 0 then return 0 end
local got = call('HMGET', key, 'ref', 'renders', 'state')

local function stop(subject)
  clear_due(subject)
  call('HINCRBY', record_key(subject), 'attempt', 1)
  call('HDEL', record_key(subject), 'begun', 'nudge')
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
if got[1] then
  names[2] = got[1]
  call('DEL', 'sr:ref:' .. got[1])
end
call('ZREMRANGEBYSCORE', 'sr:erased', '-inf', at)
for _, name in ipairs(names) do call('ZADD', 'sr:erased', at + a.remember_ms, redis.sha1hex(name)) end
return #subjects
