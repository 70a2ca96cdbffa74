-- The result is kept: write down its renders and go on to them, or finish if there are none.
-- ARGV: 1 JSON {now, subject, attempt, fields{}, bytes, events[], renders[{field: value}], receipts[]}. bytes: of the kept
-- result; receipts: of the callbacks whose bodies are kept with it.
-- Answers 1, 0 if fenced out, -1 if illegal.
local at = now_ms(a.now)
local key = record_key(a.subject)
local attempt, begun, state = pick(key, 'attempt', 'begun', 'state')
if attempt ~= a.attempt or begun ~= a.attempt then return 0 end
forget_bodies(a.subject, a.receipts) -- those that are left are the clock's from the next line on
if not set_state(a.subject, 'rendering', at) then return -1 end
for name, value in pairs(a.fields) do set(key, name, value) end
set(key, 'renders', #a.renders)
measure_attempt(a.subject, state, 'done', at)
measure_since_heard('result', a.subject, at)
count('bytes|result', a.bytes)
end_attempt(key)
call('HDEL', key, 'crashes', 'tries', 'reason')
clear_due(a.subject) -- its renders carry it from here
local account = get(key, 'account')
for _, entry in ipairs(a.events) do event(a.subject, at, entry[1], entry[2]) end
for n, fields in ipairs(a.renders) do
  local render = a.subject .. '/' .. n
  local list = {}
  for name, value in pairs(fields) do
    list[#list + 1] = name
    list[#list + 1] = value
  end
  if account then
    list[#list + 1] = 'account'
    list[#list + 1] = account
  end
  set(record_key(render), 'created', at, 'attempt', a.attempt, unpack(list)) -- counts on, see begin_record
  set_state(render, 'planned', at)
  set_due(render, 'render', at + n - 1) -- in the order of the result
end
announce(a.subject, 'job.completed', at, {shorts = tonumber(a.fields.shorts or ''), renders = #a.renders})
settle_job(a.subject, at)
return 1
