-- Put a job, or a submission, where copy.lua has copied it from. ARGV: 1 JSON {of, keys[[key, type, words]], places,
-- drop_keys[], drop_places}, from 2 on the words of each key. What is to be dropped goes first: an older copy.
-- Answers 0, and changes nothing, if something else stands in its place.
local dropped = {}
for _, name in ipairs(a.drop_keys) do dropped[name] = true end

-- A ref that is its job's by now may be written over: it was copied before, by itself.
local function is_taken(name)
  if dropped[name] or call('EXISTS', name) == 0 then return false end
  return name == record_key(a.of) or get(name, 'state') ~= 'linked'
end
for _, part in ipairs(a.keys) do
  if string.sub(part[1], 1, 7) == 'sr:ref:' or part[1] == record_key(a.of) then
    if is_taken(part[1]) then return 0 end
  end
end

local function is_empty(index) return call('EXISTS', index) == 0 end

for _, name in ipairs(a.drop_keys) do call('DEL', name) end
for _, place in ipairs(a.drop_places) do
  local index = place[1]
  call('ZREM', index, place[2])
  local target = string.match(index, '^sr:due:deliver@(.*)$')
  if target and is_empty(index) then call('ZREM', 'sr:targets', target) end
  local group = string.match(index, '^sr:parked:(.*)$')
  if group and is_empty(index) then call('SREM', 'sr:parked', group) end
end

local word, AT_ONCE = 2, 1000
for _, part in ipairs(a.keys) do
  local name, kind, count = unpack(part)
  call('DEL', name)
  local last = word + count - 1
  while word <= last do
    local upto = math.min(last, word + AT_ONCE - 1)
    call(kind == 'hash' and 'HSET' or 'RPUSH', name, unpack(ARGV, word, upto))
    word = upto + 1
  end
end
for _, place in ipairs(a.places) do
  local index = place[1]
  call('ZADD', index, place[3], place[2])
  local target = string.match(index, '^sr:due:deliver@(.*)$')
  if target then call('ZADD', 'sr:targets', 'NX', 0, target) end
  local group = string.match(index, '^sr:parked:(.*)$')
  if group then call('SADD', 'sr:parked', group) end
end
return 1
