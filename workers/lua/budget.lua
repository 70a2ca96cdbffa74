-- What the scripts of the budget share. C holds the constants of workers/budget.py; ARGV: 1 JSON, in it now.
--
-- <C.keys>slots   what counts in the window: a slot's name, and when its request arrived at the latest
-- <C.keys>claims  who waits: an id, and "rank since told stays" as take.lua wrote it
-- <C.keys>refused how many 429 came, by cause
-- <C.keys>given   how many slots were given, by class
-- <C.keys>measures   answers by route and status, and how long they took (measures.lua)
-- <C.keys>state   the rest, by field; what is not there is 0. Times are milliseconds of Redis's clock. A pause has its
--                 beginning beside it, for rewind.lua.
--   floor, floor_since            Swiftia said 429: nobody sends before floor
--   faults                        requests in a row that had no answer worth the name
--   opened, shut, shut_since      how often in a row the breaker opened; nobody sends before shut
--   refused                       since when Swiftia refuses the key
--   probe, probe_until            the one slot that finds out whether it is over
--   margin, margin_at             how much longer a slot counts here than at Swiftia; halves as time goes by
--   limit, limit_at               the limit that Swiftia states where it is not ours, and when it last did
--   distrust                      since when no higher limit is believed
--   stranger_at                   when somebody else was last seen to spend
--   run                           slots given since one was last given out of turn
--   count                         slots given so far
--   fine_at                       when a request was last answered well; the ledger counts places by it (prelude.lua)
local function call(...) return redis.call(...) end
local SLOTS, CLAIMS, STATE = C.keys .. 'slots', C.keys .. 'claims', C.keys .. 'state'

local a = cjson.decode(ARGV[1])

local function time_of(given)
  if given then return given end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local at = time_of(tonumber(a.now))

local function whole(number) return string.format('%.0f', number) end

local function read_state()
  local found, stored = {}, call('HGETALL', STATE)
  for i = 1, #stored, 2 do found[stored[i]] = tonumber(stored[i + 1]) or stored[i + 1] end
  return setmetatable(found, {__index = function() return 0 end})
end
local s = read_state()

local function put(name, value)
  s[name] = value
  call('HSET', STATE, name, type(value) == 'number' and whole(value) or value)
end

local function drop(...)
  for _, name in ipairs({...}) do
    if rawget(s, name) ~= nil then
      s[name] = nil
      call('HDEL', STATE, name)
    end
  end
end

local function margin()
  local halvings = math.max(0, math.floor((at - s.margin_at) / C.margin_half_ms))
  return math.floor(s.margin / 2 ^ halvings)
end

local function believed() return s.limit > 0 and at - s.limit_at < C.limit_kept_ms end

local function allowed() return believed() and s.limit or C.requests end

-- Above this score a slot counts.
local function edge() return '(' .. whole(at - C.window_ms - margin()) end

local function until_it_leaves(booked) return math.min(tonumber(booked), at) + C.window_ms + margin() - at end

local function is_shut() return s.opened > 0 or s.refused > 0 end

-- For how long nobody may send, and why.
local function pause()
  local why = s.refused > 0 and 'credentials' or 'breaker'
  if s.floor > at and not (is_shut() and s.shut > s.floor) then return s.floor - at, 'limit' end
  if is_shut() and s.shut > at then return s.shut - at, why end
  if is_shut() and s.probe_until > at then return math.min(C.probe_look_ms, s.probe_until - at), why end
  return 0, ''
end

-- Everybody who waits, and the ids of those that do not any more.
local function claims()
  local found, gone, flat = {}, {}, call('HGETALL', CLAIMS)
  for i = 1, #flat, 2 do
    local rank, since, told, stays = string.match(flat[i + 1], '^(%d+) (%d+) (%d+) (%d)$')
    told = tonumber(told or '0')
    if told + C.claim_ms <= at then
      gone[#gone + 1] = flat[i]
    else
      found[#found + 1] = {
        id = flat[i], rank = tonumber(rank), since = tonumber(since), stays = stays == '1', told = told,
      }
    end
  end
  return found, gone
end

-- A claim keeps its place from the moment it was told to come, and for a moment: who is late finds others there.
local function is_near(claim) return claim.told + C.grace_ms > at end
local function is_here(claim) return claim.told <= at and is_near(claim) end
