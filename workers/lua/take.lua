-- One slot of the window, for the most important who asks. ARGV: 1 JSON {now, rank, id, stay_ms}.
-- Answers {1, slot} or {0, ms to wait}. Who has to wait for stay_ms at most waits where it is.
--
-- What Swiftia counts is when a request arrives. A slot is therefore booked as if its request took C.transit_ms to get
-- there, and moved back to the moment of the answer when that comes (settle.lua): a request has arrived by then.
local others, gone = claims()
for _, id in ipairs(gone) do call('HDEL', CLAIMS, id) end
call('ZREMRANGEBYSCORE', SLOTS, '-inf', whole(at - C.history_ms))

local since, before, sooner, top = at, 0, 0, a.rank
local claimed = false
for _, claim in ipairs(others) do
  if claim.id == a.id then
    since, claimed = claim.since, true
  else
    if is_near(claim) then top = math.min(top, claim.rank) end
    if claim.rank < a.rank and is_near(claim) then sooner = sooner + 1 end
    if claim.rank < a.rank and is_here(claim) then before = before + 1 end
  end
end

-- Out of turn: every so often the one that has waited longest goes before those that are more important than it. So that
-- it is there then, it is told of each slot.
local turn = s.run >= C.turn_every - 1
local longest = a.rank > top and {id = a.id, since = since}
for _, claim in ipairs(others) do
  if claim.id ~= a.id and claim.rank > top and claim.stays and is_near(claim) then
    if not longest or claim.since < longest.since then longest = claim end
  end
end
local mine = longest and longest.id == a.id
if mine then
  sooner = 0
  if turn then before = 0 end
elseif longest and turn and longest.rank >= a.rank and is_here(longest) then
  before, sooner = before + 1, sooner + 1
end

local paused = pause()
local used = call('ZCOUNT', SLOTS, edge(), '+inf')

if paused == 0 and used + before < allowed() then
  local count, run = whole(s.count + 1), math.min(s.run + 1, C.turn_every - 1)
  if mine and turn then run = 0 end
  call('HSET', STATE, 'count', count, 'run', run)
  call('HINCRBY', C.keys .. 'given', C.classes[a.rank], 1)
  local slot = count .. '-' .. a.id
  call('ZADD', SLOTS, at + C.transit_ms, slot)
  call('PEXPIRE', SLOTS, C.history_ms + C.transit_ms + 60000)
  if claimed then call('HDEL', CLAIMS, a.id) end
  if is_shut() then
    put('probe', slot)
    put('probe_until', at + C.probe_ms)
  end
  return {1, slot}
end

local wait
local needed = used + sooner - allowed() -- so many more must leave the window before one is free
if needed >= used or needed < 0 then
  wait = C.grace_ms -- it is others that are in the way, and they take their slot or leave it
else
  wait = until_it_leaves(call('ZRANGEBYSCORE', SLOTS, edge(), '+inf', 'WITHSCORES', 'LIMIT', needed, 1)[2])
end
wait = math.max(1, paused > 0 and paused or wait)
local stays = wait <= a.stay_ms and 1 or 0
call('HSET', CLAIMS, a.id, string.format('%d %.0f %.0f %d', a.rank, since, at + wait, stays))
call('PEXPIRE', CLAIMS, math.ceil(wait) + C.claim_ms + 60000)
return {0, math.ceil(wait)}
