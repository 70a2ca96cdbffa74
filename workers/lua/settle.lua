-- What became of a slot's request. Called when the exchange has ended, and where it matters again when it has been judged.
-- ARGV: 1 JSON {now, slot}, and as far as it is known
--   arrived     1: the request has arrived by now, or never will; ago_ms: that was so long ago already
--   unsent      1: it was never sent
--   status, limit, left   of the answer: its HTTP status, and what it states of the limit and of what is left of it
--   pause_ms    nobody may send for so long
--   route, code, took_ms   of the exchange, once for each: what was asked for, the status or none, and how long it took
--   verdict     ok, fault, refused (the key), or none where nothing can be said; luck, in [0, 1), goes with it
-- Answers JSON: what is news, and whether the verdict matters.
local news = {}
if a.route then
  count('requests|' .. a.route .. '|' .. a.code)
  observe('request', a.route, a.took_ms)
end
local booked = tonumber(call('ZSCORE', SLOTS, a.slot) or '')
local arrived = at - (a.ago_ms or 0)
if booked and a.unsent then
  call('ZREM', SLOTS, a.slot)
elseif booked and booked > arrived and a.arrived then
  call('ZADD', SLOTS, arrived, a.slot)
end
-- When it was taken; not known of one that took longer than was reckoned with.
local taken = booked and booked > arrived and booked - C.transit_ms

local function is_strangers(slot) return string.sub(slot, 1, 8) == 'stranger' end

-- Nobody sends for so long.
local function close(ms)
  if at + ms <= s.floor then return end
  put('floor', at + ms)
  put('floor_since', at)
end

-- Why a 429 came. Ours is one that a wider margin would have spared: enough of our own had just left the window.
local function blame()
  local limit = a.limit or allowed()
  if limit < allowed() then return 'shrunk' end
  if allowed() > C.requests then
    put('distrust', at) -- the higher limit was not meant for this window
    drop('limit', 'limit_at')
    return 'shrunk'
  end
  local ours = -1 -- but for this one
  local from = (taken or at) - C.window_ms - C.most_margin_ms
  for _, slot in ipairs(call('ZRANGEBYSCORE', SLOTS, '(' .. whole(from), '+inf')) do
    if not is_strangers(slot) then ours = ours + 1 end
  end
  if ours < limit or (s.stranger_at > 0 and at - s.stranger_at < C.stranger_kept_ms) then return 'stranger' end
  if s.margin == 0 or at - s.margin_at >= C.window_ms then -- several of one moment say it once
    put('margin', math.min(C.most_margin_ms, margin() + C.margin_step_ms))
    put('margin_at', at)
  end
  return 'ours'
end

-- The limit that Swiftia states counts, within reason: a higher one may be meant for another window.
local function heed(limit)
  local was = allowed()
  local trusted = s.distrust == 0 or at - s.distrust >= C.limit_kept_ms
  limit = math.max(1, math.min(limit, trusted and C.most_requests or C.requests))
  if limit == C.requests then
    drop('limit', 'limit_at')
  elseif limit ~= s.limit or at - s.limit_at >= C.window_ms then
    put('limit', limit)
    put('limit_at', at)
  end
  if allowed() ~= was then news.limit = allowed() end
end

-- Swiftia has counted more than all of ours that it can have counted: the rest is somebody else's.
local function look_for_strangers()
  local ours = call('ZCOUNT', SLOTS, '(' .. whole(taken - C.window_ms - margin()), '+inf')
  local more = math.min((a.limit or allowed()) - a.left - ours, allowed())
  if more <= 0 then return end
  put('stranger_at', at)
  for n = 1, more do call('ZADD', SLOTS, at, 'stranger-' .. a.slot .. '-' .. n) end
end

local function open()
  put('opened', s.opened + 1)
  local ms = math.min(C.longest_pause_ms, C.first_pause_ms * 2 ^ (s.opened - 1)) * (0.75 + 0.5 * (a.luck or 0.5))
  put('shut', at + math.min(C.longest_pause_ms, ms))
  put('shut_since', at)
  drop('faults', 'probe', 'probe_until')
  news.opened_ms = s.shut - at
end

local function judge()
  local probes = s.probe == a.slot
  if a.verdict == 'refused' then
    if s.refused == 0 then
      put('refused', at)
      news.refused = true
    end
    put('shut', at + C.refused_pause_ms)
    put('shut_since', at)
    drop('faults', 'opened', 'probe', 'probe_until')
  elseif a.verdict == 'fault' then
    if not is_shut() then put('faults', s.faults + 1) end
    -- One that was under way when the breaker opened tells nothing new.
    if probes or s.faults >= C.faults then open() end
  elseif probes and a.verdict == 'ok' then
    news.mended, news.closed = s.refused > 0, s.opened > 0
    drop('faults', 'opened', 'shut', 'shut_since', 'refused', 'probe', 'probe_until')
  elseif probes then
    drop('probe', 'probe_until') -- it has told nothing: the next one is the probe
  elseif a.verdict == 'ok' then
    drop('faults')
  end
end

if a.status == 429 then
  news.cause = blame()
  call('HINCRBY', C.keys .. 'refused', news.cause, 1)
  close(C.window_ms)
end
local fine = a.status and a.status < 500 and a.status ~= 401 and a.status ~= 429
if fine and math.abs(at - s.fine_at) >= C.fine_step_ms then put('fine_at', at) end
if a.limit then heed(a.limit) end
if a.left and taken and a.status ~= 429 then look_for_strangers() end
if a.pause_ms and a.pause_ms > 0 then close(a.pause_ms) end
if a.verdict then judge() end
news.alarmed = s.faults > 0 or is_shut()
return cjson.encode(news)
