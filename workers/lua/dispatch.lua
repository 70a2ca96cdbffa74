-- Nudge what is due in one lane, the most important class first. ARGV: 1 JSON {now, lane, most}.
-- Answers {nudged, parked, ms until something may be due, attempts found silent}.
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local queue = 'rq:queue:' .. a.lane
local nudged, parked, silent = 0, 0, 0
local room = math.min(a.most, C.queue_cap - call('LLEN', queue))

local function deadly(subject, key, got)
  if got[2] ~= got[1] then return false end -- it never began: its nudge was lost, not its worker
  silent = silent + 1
  local crashes = call('HINCRBY', key, 'crashes', 1)
  event(subject, at, 'silent', {attempt = tonumber(got[1]), crashes = crashes})
  if crashes < C.deadly_crashes then return false end
  park(subject, 'its worker died or fell silent ' .. crashes .. ' times in a row', at)
  if is_render(subject) then settle_job(job_of(subject), at) end
  parked = parked + 1
  return true
end

local next_due = -1
for _, class in ipairs(C.classes[a.lane]) do
  local due = 'sr:due:' .. class
  local looked = 0
  while room > 0 and looked < C.queue_cap do
    local subjects = call('ZRANGEBYSCORE', due, '-inf', at, 'LIMIT', 0, room)
    if #subjects == 0 then break end
    for _, subject in ipairs(subjects) do
      looked = looked + 1
      local key = record_key(subject)
      local got = call('HMGET', key, 'attempt', 'begun', 'state', 'nudge')
      if not got[3] or class_of(subject, got[3]) ~= class then
        call('ZREM', due, subject)
      elseif got[4] and call('LPOS', queue, got[4]) then
        call('ZADD', due, at + C.lease_ms, subject) -- its nudge still waits in the queue
      elseif not deadly(subject, key, got) then
        dispatch(subject, got[3], at)
        nudged = nudged + 1
        room = room - 1
      end
    end
  end
  local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if first[2] then
    local wait = math.max(0, tonumber(first[2]) - at)
    if next_due < 0 or wait < next_due then next_due = wait end
  end
end
call('HSET', 'sr:clock', a.lane, at)
return {nudged, parked, math.floor(next_due), silent}
