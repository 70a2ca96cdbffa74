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

if not known then new_job(a.job, at) end
for name, value in pairs(a.fields) do call('HSETNX', job, name, value) end
local heard = a.ref ~= '' and adopt(a.job, a.ref, at)

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
