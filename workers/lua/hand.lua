-- Records in hand. Each call of Redis costs a script more than anything that it does itself, and a script looks at the
-- few records that it is about again and again. So it takes those up whole, once, reads and changes them here, and puts
-- them down when it ends: one write each. call() is redis.call() for everybody, and knows which records are in hand.
local hand, straight = {}, true

local function take_up(key)
  if hand[key] then return end
  local fields, all = {}, redis.call('HGETALL', key)
  for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
  hand[key] = {key = key, fields = fields, new = {}, gone = {}}
end

local function put_down(key)
  local held = hand[key]
  if not held then return end
  hand[key] = nil
  local new, gone = {}, {}
  for name in pairs(held.new) do
    new[#new + 1] = name
    new[#new + 1] = held.fields[name]
  end
  for name in pairs(held.gone) do gone[#gone + 1] = name end
  if #new > 0 then redis.call('HSET', key, unpack(new)) end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
end

local function put_all_down()
  for key in pairs(hand) do put_down(key) end
end

-- The first one is written at once: a server whose memory is full refuses it, and then nothing is half done. After a
-- first write it refuses a script nothing more.
local function set_held(held, ...)
  local given = {...}
  for i = 1, #given, 2 do
    held.fields[given[i]] = tostring(given[i + 1]) -- as Redis writes whole numbers of up to 14 digits
    held.new[given[i]], held.gone[given[i]] = true, nil
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
  local found = {}
  for name, value in pairs(fields) do
    found[#found + 1] = name
    found[#found + 1] = value
  end
  return found
end

local function call(command, key, ...)
  local held = hand[key]
  if not held then return redis.call(command, key, ...) end
  local fields, name, value = held.fields, ...
  if command == 'HGET' then return fields[name] or false end
  if command == 'HSET' then return set_held(held, ...) end
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
  if command == 'DEL' then hand[key] = nil else put_down(key) end
  return redis.call(command, key, ...)
end
