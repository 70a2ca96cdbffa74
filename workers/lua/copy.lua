-- Everything that stands of a job, or of a submission, at one moment. Writes nothing.
-- ARGV: 1 JSON {of, states[], most}. Answers {keys, places}: each key as {key, type, words}, each place in an index as
-- {index, member, score}. {} if it is not there; {bytes} if it has more than most bytes, which 0 is no limit for.
local key = record_key(a.of)
local found, places, size = {}, {}, 0

local function take(name)
  local kind = call('TYPE', name).ok
  if kind == 'none' then return end
  local words = kind == 'hash' and call('HGETALL', name) or call('LRANGE', name, 0, -1)
  for _, word in ipairs(words) do size = size + #word end
  found[#found + 1] = {name, kind, words}
end

local function stands(index, subject)
  local score = call('ZSCORE', index, subject)
  if score then places[#places + 1] = {index, subject, score} end
end

if call('EXISTS', key) == 0 then return {} end
local got = call('HMGET', key, 'renders', 'deliveries', 'ref', 'more_refs', 'state', 'packed', 'group')
take(key)
if is_ref(a.of) and got[5] == 'linked' then return {found, places} end -- the rest is its job's

local subjects = {a.of}
if not is_ref(a.of) then
  for n = 1, tonumber(got[1] or '0') do subjects[#subjects + 1] = a.of .. '/' .. n end
  for ref in string.gmatch((got[3] or '') .. (got[4] or ''), '%S+') do take('sr:ref:' .. ref) end
end
for n = 1, tonumber(got[2] or '0') do subjects[#subjects + 1] = a.of .. '!' .. n end
for n = 2, #subjects do take(record_key(subjects[n])) end
for _, family in ipairs({'timeline', 'callbacks', 'bodies', 'seen'}) do take('sr:' .. family .. ':' .. a.of) end
if a.most > 0 and size > a.most then return {size} end

for _, subject in ipairs(subjects) do
  local line = get(record_key(subject), 'class')
  if line then
    stands('sr:due:' .. line, subject)
    local busy = busy_key(line)
    if busy then stands(busy, subject) end
  end
  if is_delivery(subject) then stands('sr:deliveries:parked', subject) end
end
for _, state in ipairs(a.states) do stands('sr:jobs:' .. state, a.of) end
for _, index in ipairs({'ended', 'unpacked', 'unarchived', 'freeing'}) do stands('sr:' .. index, a.of) end
if got[7] then stands('sr:parked:' .. got[7], a.of) end
return {found, places}
