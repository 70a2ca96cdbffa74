-- Write down a ref before anybody hears of it. ARGV: 1 JSON {now, ref, state, fields{}, due_ms or null, request_id, trace}.
-- Its own request id stays beside that of a callback to come.
local at = now_ms(a.now)
local subject = 'ref:' .. a.ref
local key = record_key(subject)
if call('EXISTS', key) == 1 then return 0 end
begin_record(subject, a.ref, at)
for name, value in pairs(a.fields) do set(key, name, value) end
carry(subject, a)
if a.request_id then set(key, 'submit_id', a.request_id) end
set_state(subject, a.state, at)
event(subject, at, 'accepted', {state = a.state})
if a.due_ms ~= cjson.null then
  if a.due_ms <= 0 then dispatch(subject, a.state, at) else set_due(subject, class_of(subject, a.state), at + a.due_ms) end
end
return 1
