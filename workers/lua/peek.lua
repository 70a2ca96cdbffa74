-- How things stand; writes nothing. ARGV: 1 JSON {now, ahead_ms}. Answers JSON.
local paused, why = pause()
local used = call('ZCOUNT', SLOTS, edge(), '+inf')
local free = allowed() - used
local next_ms, later_ms = 0, C.window_ms + margin()

-- What leaves the window within ahead_ms, and when the first after that does.
local horizon = whole(at - C.window_ms - margin() + a.ahead_ms)
local leaving = call('ZCOUNT', SLOTS, edge(), horizon)
if free <= 0 then
  local found = call('ZRANGEBYSCORE', SLOTS, edge(), '+inf', 'WITHSCORES', 'LIMIT', -free, 1)
  if found[2] then next_ms = until_it_leaves(found[2]) end
end
local found = call('ZRANGEBYSCORE', SLOTS, '(' .. horizon, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if found[2] then later_ms = until_it_leaves(found[2]) end

local waiting, here = {}, 0
for rank = 1, C.ranks do waiting[rank] = 0 end
for _, claim in ipairs(claims()) do
  waiting[claim.rank] = waiting[claim.rank] + 1
  if claim.stays and is_near(claim) then here = here + 1 end
end

local free_now, soon = math.max(0, free), math.max(0, free + leaving)
if is_shut() then free_now, soon = math.min(1, free_now), math.min(1, soon) end -- the probe
if paused > 0 then free_now, soon = 0, 0 end

local breaker = 'closed'
if s.opened > 0 then breaker = s.shut > at and 'open' or 'half-open' end
local refused, flat = {}, call('HGETALL', C.keys .. 'refused')
for i = 1, #flat, 2 do refused[flat[i]] = tonumber(flat[i + 1]) end
refused.none = 0 -- an empty table would be a list
local given = {none = 0}
flat = call('HGETALL', C.keys .. 'given')
for i = 1, #flat, 2 do given[flat[i]] = tonumber(flat[i + 1]) end
return cjson.encode({
  allowed = allowed(), used = used, free = free_now, soon = soon, here = here, waiting = waiting,
  next_ms = math.max(next_ms, paused), later_ms = later_ms, pause_ms = paused, pause_reason = why,
  breaker = breaker, credentials_ok = s.refused == 0, margin_ms = margin(), refused = refused, given = given,
  turn = s.run >= C.turn_every - 1,
})
