-- One slot of the organization's sliding window, for the most important who asks.
-- ARGV: 1 JSON {now, requests, window_ms, transit_ms, rank, id, claim_ms}. Answers {1, slot} or {0, ms to wait}.
--
-- What Swiftia counts is when a request arrives. A slot is therefore booked as if its request took transit_ms to get
-- there, and moved back to the moment of the answer when that comes (settle.lua): a request has arrived by then.
local a = cjson.decode(ARGV[1])
local function call(...) return redis.call(...) end
local at = tonumber(a.now)
if not at then
  local t = call('TIME')
  at = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local floor = tonumber(call('GET', 'sr:budget:floor') or '0')
local slots = 'sr:budget:slots'
call('ZREMRANGEBYSCORE', slots, '-inf', string.format('(%.0f', at - a.window_ms + 1))

local ahead = 0
for rank = 1, a.rank - 1 do
  local claims = 'sr:budget:claims:' .. rank
  call('ZREMRANGEBYSCORE', claims, '-inf', at)
  ahead = ahead + call('ZCARD', claims)
end
local mine = 'sr:budget:claims:' .. a.rank
local used = call('ZCARD', slots)

if floor <= at and used + ahead < a.requests then
  local slot = string.format('%d-%s', call('INCR', 'sr:budget:count'), a.id)
  call('ZADD', slots, at + a.transit_ms, slot)
  call('PEXPIRE', slots, a.window_ms + a.transit_ms + 60000)
  call('ZREM', mine, a.id)
  return {1, slot}
end

local wait = a.window_ms
local needed = used + ahead - a.requests -- so many more must leave the window before one is free
if needed < used then
  local entry = call('ZRANGE', slots, needed, needed, 'WITHSCORES')
  if entry[2] then wait = math.min(tonumber(entry[2]), at) + a.window_ms - at end
end
wait = math.max(1, wait, floor - at)
call('ZADD', mine, at + wait + a.claim_ms, a.id)
call('PEXPIRE', mine, wait + a.claim_ms + 60000)
return {0, math.ceil(wait)}
