-- Records in hand. Each call of Redis costs a script more than anything that it does itself, and a script looks at the
-- few records that it is about again and again. So it takes those up whole, once, reads and changes them here, and puts
-- them down when it ends: one write each. call() is redis.call() for everybody, and knows which records are in hand.
local hand, straight = {}, true

local function take_up(key)
  if hand[key] then return end
  local all = redis.call('HGETALL', key)
  local fields = {}
  for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
  hand[key] = {key = key, fields = fields, new = {}, gone = {}}
end

local function put_down(key)
  local held = hand[key]
  if not held then return end
  hand[key] = nil
  local list, n, fields = {}, 0, held.fields
  for name in pairs(held.new) do
    list[n + 1], list[n + 2] = name, fields[name]
    n = n + 2
  end
  if n > 0 then redis.call('HSET', key, unpack(list, 1, n)) end
  n = 0
  for name in pairs(held.gone) do
    n = n + 1
    list[n] = name
  end
  if n > 0 then redis.call('HDEL', key, unpack(list, 1, n)) end
end

local function put_all_down()
  for key in pairs(hand) do put_down(key) end
end

-- The first one is written at once: a server whose memory is full refuses it, and then nothing is half done. After a
-- first write it refuses a script nothing more.
local function set_held(held, ...)
  local given, fields, new, gone = {...}, held.fields, held.new, held.gone
  for i = 1, #given, 2 do
    local name = given[i]
    fields[name], new[name], gone[name] = tostring(given[i + 1]), true, nil -- as Redis writes numbers of up to 14 digits
  end
  if not straight then return end
  straight, held.new = false, {}
  redis.call('HSET', held.key, ...)
end

local function drop_held(held, ...)
  for _, name in ipairs({...}) do
    if held.fields[name] then held.fields[name], held.new[name], held.gone[name] = nil, nil, true end
  end
end

local function flat(fields)
  local found, n = {}, 0
  for name, value in pairs(fields) do
    found[n + 1], found[n + 2] = name, value
    n = n + 2
  end
  return found
end

-- What is done most, without the way through call(): one field of a record, up to four of them, and to set some.
local function get(key, name)
  local held = hand[key]
  if held then return held.fields[name] or false end
  return redis.call('HGET', key, name)
end

local function pick(key, ...)
  local held = hand[key]
  if not held then return unpack(redis.call('HMGET', key, ...)) end
  local fields, one, two, three, four = held.fields, ...
  return fields[one] or false, fields[two] or false, three and fields[three] or false, four and fields[four] or false
end

local function set(key, ...)
  local held = hand[key]
  if held then return set_held(held, ...) end
  return redis.call('HSET', key, ...)
end

local function call(command, key, ...)
  local held = hand[key]
  if not held then return redis.call(command, key, ...) end
  local fields, name, value = held.fields, ...
  if command == 'HMGET' then
    local found = {...}
    for i, each in ipairs(found) do found[i] = fields[each] or false end
    return found
  end
  if command == 'HDEL' then return drop_held(held, ...) end
  if command == 'EXISTS' then return next(fields) and 1 or 0 end
  if command == 'HEXISTS' then return fields[name] and 1 or 0 end
  if command == 'HSETNX' then
    if fields[name] then return 0 end
    set_held(held, name, value)
    return 1
  end
  if command == 'HINCRBY' then
    set_held(held, name, tonumber(fields[name] or '0') + value)
    return tonumber(fields[name])
  end
  if command == 'HGETALL' then return flat(fields) end
  if command == 'HGET' then return fields[name] or false end
  if command == 'HSET' then return set_held(held, ...) end
  if command == 'DEL' then hand[key] = nil else put_down(key) end
  return redis.call(command, key, ...)
end
