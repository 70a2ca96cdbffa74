-- Write how an attempt ended: next state, next due time, fields and events, in one step.
-- ARGV: 1 JSON {now, subject, attempt, state, wait_ms, hold, reason, fields{}, drop[], events[[name, {}]]}
--   attempt  the fencing token; a late or doubled run changes nothing
--   state    the next state, or '' for the same one; 'parked' takes reason
--   wait_ms  when it is due again
--   hold     1 while the same attempt goes on (an intent is written in its middle)
-- Answers 1, 0 if fenced out, -1 if the move is not legal.
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'state', 'heard')
if got[1] ~= a.attempt or got[2] ~= a.attempt then return 0 end
if a.state == 'parked' then
  if not park(a.subject, a.reason, at) then return -1 end
  if is_render(a.subject) then settle_job(job_of(a.subject), at) end
  return 1
end
local state = a.state ~= '' and a.state or got[3]
if not set_state(a.subject, state, at) then return -1 end
for name, value in pairs(a.fields) do call('HSET', key, name, value) end
for _, name in ipairs(a.drop) do call('HDEL', key, name) end
for _, entry in ipairs(a.events) do event(a.subject, at, entry[1], entry[2]) end
if a.hold == 1 then return 1 end
end_attempt(key)
call('HDEL', key, 'crashes')
local class = class_of(a.subject, state)
if not class then
  clear_due(a.subject)
  if is_render(a.subject) then settle_job(job_of(a.subject), at) end
elseif got[4] or a.wait_ms <= 0 then
  dispatch(a.subject, state, at)
else
  set_due(a.subject, class, at + a.wait_ms)
end
return 1
