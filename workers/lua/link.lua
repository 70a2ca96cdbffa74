-- Say which job a ref belongs to. Callbacks that came before move to the job.
-- Not fenced: once Swiftia has told an id, nothing is a reason to forget it.
-- ARGV: 1 JSON {now, ref, job, first_ms, fields{}, by}. ref may be ''; first_ms is when an unheard job is first looked at.
-- Answers {outcome, job}: new, known (the job was there already), or conflict (the ref belongs to another job).
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local job = 'sr:job:' .. a.job
local known = call('EXISTS', job) == 1
local other = a.ref ~= '' and call('HGET', 'sr:ref:' .. a.ref, 'job_id')
if other and other ~= a.job then return {'conflict', other} end

if not known then
  call('HSET', job, 'created', at, 'attempt', 0)
  set_state(a.job, 'waiting', at)
end
for name, value in pairs(a.fields) do call('HSETNX', job, name, value) end

local heard = false
if a.ref ~= '' then
  local subject = 'ref:' .. a.ref
  local ref = record_key(subject)
  for _, name in ipairs({'metadata', 'render', 'function', 'created'}) do
    local value = call('HGET', ref, name)
    if value then call(name == 'created' and 'HSET' or 'HSETNX', job, name, value) end
  end
  call('HSETNX', job, 'ref', a.ref)
  clear_due(subject)
  index(subject, shown(subject, call('HGET', ref, 'state')), nil)
  heard = call('LLEN', 'sr:callbacks:' .. subject) > 0
  for _, family in ipairs({'timeline', 'callbacks'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. a.job
    for _, entry in ipairs(call('LRANGE', from, 0, -1)) do call('RPUSH', to, entry) end
    call('DEL', from)
  end
  for _, family in ipairs({'bodies', 'seen'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. a.job
    local all = call('HGETALL', from)
    for i = 1, #all, 2 do call('HSET', to, all[i], all[i + 1]) end
    call('DEL', from)
  end
  call('DEL', ref)
  call('HSET', ref, 'state', 'linked', 'job_id', a.job, 'created', at)
  index(a.job, nil, call('HGET', job, 'state'), call('HGET', job, 'created'))
end

if not known then event(a.job, at, 'known', {by = a.by}) end
local state = call('HGET', job, 'state')
if heard and state == 'waiting' then
  set_state(a.job, 'fetching', at)
  call('HSET', job, 'heard_at', at)
  dispatch(a.job, 'fetching', at)
elseif not known then
  set_due(a.job, 'reconcile', at + a.first_ms)
end
return {known and 'known' or 'new', a.job}
