-- A person says: again. ARGV: 1 JSON {now, subject, request_id, trace}. Answers how many subjects were set going.
local at = now_ms(a.now)
local resume = {starting = 'planned', planned = 'planned', queued = 'queued', rendering = 'queued', keeping = 'keeping'}

local function again(subject, state)
  local key = record_key(subject)
  if not set_state(subject, state, at) then return false end
  end_attempt(key)
  call('HDEL', key, 'reason', 'parked_from', 'crashes', 'tries', 'renewed', 'wrong', 'group')
  if is_render(subject) then set(key, 'again_at', at) end
  if is_job(subject) then carry(subject, a) end
  event(subject, at, 'retried', {to = state})
  set_due(subject, class_of(subject, state), at)
  return true
end

local key = record_key(a.subject)
local state = get(key, 'state')
if is_ref(a.subject) then
  if state ~= 'parked' and state ~= 'failed' then return 0 end
  if not get(key, 'request') then return 0 end
  return again(a.subject, 'queued') and 1 or 0
end
if state ~= 'parked' and state ~= 'failed' and state ~= 'finished' then return 0 end
local total = get(key, 'renders')
if not total then
  if not again(a.subject, 'fetching') then return 0 end
  set(key, 'heard_at', at)
  return 1
end
local going = 0
for n = 1, tonumber(total) do
  local render = a.subject .. '/' .. n
  local got = call('HMGET', record_key(render), 'state', 'parked_from')
  if got[1] == 'parked' then
    if got[2] == 'starting' then -- nobody knows whether Swiftia has started it, whatever it was parked for
      call('HINCRBY', record_key(render), 'unsure', 1)
      event(render, at, 'render.unsure', {policy = 'person'})
    end
    again(render, resume[got[2]] or 'planned')
    going = going + 1
  elseif got[1] == 'failed' then
    call('HDEL', record_key(render), 'render_id', 'progress')
    again(render, 'planned')
    going = going + 1
  end
end
if going > 0 then
  call('HDEL', key, 'reason', 'parked_from', 'crashes', 'tries')
  set(key, 'again_at', at)
  carry(a.subject, a)
  set_state(a.subject, 'rendering', at)
  event(a.subject, at, 'retried', {renders = going})
end
return going
