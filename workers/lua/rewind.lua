-- Redis's clock went back: nothing may lie further ahead than it could have been booked now. ARGV: 1 JSON {now, back_ms}.
-- What was booked since the clock went back is not touched.
local latest = at + C.transit_ms -- nothing that is on its way arrives later
local ahead = call('ZRANGEBYSCORE', SLOTS, '(' .. whole(latest), '+inf', 'WITHSCORES')
for i = 1, #ahead, 2 do
  call('ZADD', SLOTS, math.min(tonumber(ahead[i + 1]) - a.back_ms, latest), ahead[i])
end

call('DEL', CLAIMS) -- whoever still waits claims again

for ends, since in pairs({floor = 'floor_since', shut = 'shut_since'}) do
  if s[ends] > at and s[since] > at then
    local back = math.max(a.back_ms, s[since] - at)
    put(ends, s[ends] - back)
    put(since, s[since] - back)
  end
end
if s.probe_until > at + C.probe_ms then put('probe_until', at + C.probe_ms) end
for _, moment in ipairs({'margin_at', 'limit_at', 'stranger_at', 'refused', 'distrust', 'fine_at'}) do
  if s[moment] > at then put(moment, at) end
end
return 1
