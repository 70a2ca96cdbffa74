-- Say which job a ref belongs to. Callbacks that came before move to the job.
-- Not fenced: once Swiftia has told an id, nothing is a reason to forget it.
-- ARGV: 1 JSON {now, ref, job, first_ms, fields{}, by, account, unnamed, request_id, trace}.
--   ref       may be ''
--   first_ms  when an unheard job is first looked at
--   by        submission: the ref's account has made the job. callback: an account that is not the job's is not heeded
--   account   whose job it is; unnamed: whose it is where nobody says. Both may be ''
-- Answers {outcome, job}: new, known (the job was there already), conflict (the ref belongs to another job), or
-- account (the job is another account's, which is given in the place of the job).
local at = now_ms(a.now)
local job = 'sr:job:' .. a.job
local known = call('EXISTS', job) == 1
local other = a.ref ~= '' and get('sr:ref:' .. a.ref, 'job_id')
if other and other ~= a.job then return {'conflict', other} end

local asked = a.account ~= '' and a.account
local refs = a.ref ~= '' and not other and get('sr:ref:' .. a.ref, 'account')
local has = get(job, 'account')
if a.by ~= 'submission' and a.by ~= 'callback' then
  if asked and (refs or asked) ~= asked then return {'account', refs} end
  if has and (asked or refs or has) ~= has then return {'account', has} end
end

if not known then new_job(a.job, at) end
if a.by == 'watch' then carry(a.job, a) end
for name, value in pairs(a.fields) do call('HSETNX', job, name, value) end
local heard, ignored = false, nil
if a.by == 'submission' or a.by == 'callback' then
  local ref = 'ref:' .. a.ref
  measure_attempt(ref, get(record_key(ref), 'state'), 'done', at)
end
if a.ref ~= '' then heard, ignored = adopt(a.job, a.ref, at, a.by == 'submission') end
if not get(job, 'account') then
  local account = asked or (not known and a.unnamed ~= '' and a.unnamed)
  if account then give_account(a.job, account) end
end
if ignored then event(a.job, at, 'account.ignored', {account = ignored}) end

if not known then event(a.job, at, 'known', {by = a.by}) end
local state = get(job, 'state')
if heard and state == 'waiting' then
  set_state(a.job, 'fetching', at)
  set(job, 'heard_at', at)
  dispatch(a.job, 'fetching', at)
elseif not known then
  set_due(a.job, 'reconcile', at + a.first_ms)
end
return {known and 'known' or 'new', a.job}
