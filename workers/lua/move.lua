-- Write how an attempt ended: next state, next due time, fields and events, in one step.
-- ARGV: 1 JSON {now, subject, attempt, outcome, state, wait_ms, hold, in_place, reason, group, fields{}, drop[],
--   events[[name, {}]], measured{}}
--   attempt  the fencing token; a late or doubled run changes nothing
--   state    the next state, or '' for the same one; 'parked' takes reason and group
--   wait_ms  when it is due again
--   in_place 1: at once instead, where it stood in the line before
--   hold     1 while the same attempt goes on (an intent is written in its middle)
--   outcome  what the attempt that ends here is counted as; measured: values by the family that they are counted in
-- Answers 1, 0 if fenced out, -1 if the move is not legal.
local at = now_ms(a.now)
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'state', 'heard', 'progress', 'place')
if got[1] ~= a.attempt or got[2] ~= a.attempt then return 0 end
if a.state == 'parked' then
  measure_attempt(a.subject, got[3], a.outcome, at)
  if not park(a.subject, a.reason, at, a.group) then return -1 end
  if is_render(a.subject) then settle_job(job_of(a.subject), at) end
  return 1
end
local state = a.state ~= '' and a.state or got[3]
if not set_state(a.subject, state, at) then return -1 end
for name, value in pairs(a.fields) do set(key, name, value) end
if a.fields.progress and a.fields.progress ~= got[5] then changed(a.subject, at, 'progress') end
for _, name in ipairs(a.drop) do call('HDEL', key, name) end
for _, entry in ipairs(a.events) do event(a.subject, at, entry[1], entry[2]) end
if state ~= got[3] then announce_state(a.subject, state, at) end
for family, value in pairs(a.measured) do observe(family, '', value) end
if a.hold == 1 then return 1 end
measure_attempt(a.subject, got[3], a.outcome, at)
if state == 'kept' then count('bytes|video', tonumber(a.fields.size or '0')) end
if state == 'delivered' then observe('delivered', '', at - tonumber(get(key, 'since') or at)) end
end_attempt(key)
call('HDEL', key, 'crashes')
local class = class_of(a.subject, state)
if not class then
  clear_due(a.subject)
  if is_render(a.subject) then settle_job(job_of(a.subject), at) end
elseif a.in_place == 1 and got[6] then
  set_due(a.subject, class, math.min(tonumber(got[6]), at))
elseif got[4] or a.wait_ms <= 0 then
  dispatch(a.subject, state, at)
else
  set_due(a.subject, class, at + a.wait_ms)
end
return 1
