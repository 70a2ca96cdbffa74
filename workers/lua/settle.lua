-- The answer came: the slot's request arrived at this moment at the latest. ARGV: 1 JSON {now, slot, pause_ms}.
-- pause_ms above 0 keeps everybody away for so long: Swiftia said that it was too much.
local a = cjson.decode(ARGV[1])
local at = tonumber(a.now)
if not at then
  local t = redis.call('TIME')
  at = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local booked = redis.call('ZSCORE', 'sr:budget:slots', a.slot)
if booked and tonumber(booked) > at then redis.call('ZADD', 'sr:budget:slots', at, a.slot) end
if a.pause_ms > 0 then
  local floor = tonumber(redis.call('GET', 'sr:budget:floor') or '0')
  if at + a.pause_ms > floor then
    redis.call('SET', 'sr:budget:floor', string.format('%.0f', at + a.pause_ms), 'PX', math.ceil(a.pause_ms) + 60000)
  end
end
return 1
