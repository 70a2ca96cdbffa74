-- How many requests may leave now. ARGV: 1 JSON {now, requests, window_ms}. Answers {free, ms of pause, used}.
local a = cjson.decode(ARGV[1])
local at = tonumber(a.now)
if not at then
  local t = redis.call('TIME')
  at = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local floor = tonumber(redis.call('GET', 'sr:budget:floor') or '0')
local used = redis.call('ZCOUNT', 'sr:budget:slots', string.format('%.0f', at - a.window_ms + 1), '+inf')
if floor > at then return {0, floor - at, used} end
return {math.max(0, a.requests - used), 0, used}
