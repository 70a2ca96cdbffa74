-- Keep one callback and make its job due, in one step. Repeating it changes nothing more.
-- ARGV: 1 JSON {now, ref, job, account, receipt, digest, meta{}}, 2 the raw body. ref or job may be '', not both.
-- meta: what is noted of the callback; its request_id and trace go with the job.
-- account: that of the URL without a ref, or ''.
-- Answers {outcome, owner, receipt, ignored}: new, duplicate, erased, or full (so many different ones that no more are
-- kept); ignored is an account that is not that of the job, or ''.
local at = now_ms(a.now)
local owner, ignored
local first_word = false -- of a job of which nothing was known, nor of its ref: nothing has come before

-- The job that a callback names, and the ref that it came under from here on.
local function know(job, ref)
  local known = call('EXISTS', 'sr:job:' .. job) == 1
  first_word = not known and (ref == '' or call('EXISTS', 'sr:ref:' .. ref) == 0)
  if first_word then
    begin_record(job, job, at) -- its first state comes below
  elseif not known then
    new_job(job, at)
  end
  if ref ~= '' then
    local _, other = adopt(job, ref, at)
    ignored = other
  end
  local has = get('sr:job:' .. job, 'account')
  if a.account ~= '' and not has then give_account(job, a.account) end
  if a.account ~= '' and has and has ~= a.account then ignored = a.account end
  if not known then event(job, at, 'known', {by = 'callback'}) end
end

if a.ref ~= '' then
  if erased(a.ref) then return {'erased', '', a.receipt, ''} end
  local subject = 'ref:' .. a.ref
  local job, state = unpack(call('HMGET', record_key(subject), 'job_id', 'state'))
  local tells = a.job ~= '' and not erased(a.job)
  if not state and not tells then
    begin_record(subject, a.ref, at)
    set_state(subject, 'open', at)
  end
  if not job and tells and (not state or state == 'open' or state == 'parked') then
    know(a.job, a.ref)
    job = a.job
  end
  owner = job or subject
else
  if erased(a.job) then return {'erased', '', a.receipt, ''} end
  know(a.job, '')
  owner = a.job
end

-- The same receipt is the same callback: its answer was lost, or it waited in the spool and is handed on again.
local first = not first_word and get('sr:seen:' .. owner, a.digest)
if first == a.receipt then return {'new', owner, a.receipt, ''} end
local function listed(receipt)
  for _, entry in ipairs(call('LRANGE', 'sr:callbacks:' .. owner, 0, -1)) do
    if string.find(entry, '"' .. receipt .. '"', 1, true) then return true end
  end
end

local outcome = 'new'
if first then
  outcome = 'duplicate'
  if listed(a.receipt) then return {outcome, owner, first, ''} end
  a.meta.given = a.receipt
  a.receipt = first
elseif not first_word and call('HLEN', 'sr:seen:' .. owner) >= C.callbacks_cap then
  outcome = 'full' -- its job is looked at all the same
  if listed(a.receipt) then return {outcome, owner, a.receipt, ''} end
else
  set('sr:bodies:' .. owner, a.receipt, ARGV[2])
end
-- Last of all: a script that breaks off in the middle is not undone, and what is seen is not looked at again.
local function done()
  if outcome == 'new' then set('sr:seen:' .. owner, a.digest, a.receipt) end
  return {outcome, owner, a.receipt, ignored or ''}
end
local origin = {request_id = a.meta.request_id, trace = a.meta.trace}
a.meta.trace = nil
a.meta.receipt = a.receipt
a.meta.at = at
a.meta.duplicate = outcome == 'duplicate'
push_capped('sr:callbacks:' .. owner, cjson.encode(a.meta), C.callbacks_cap)
count_hourly(at, outcome == 'duplicate' and 'repeated' or 'callbacks')
event(owner, at, 'callback', {receipt = a.receipt, duplicate = a.meta.duplicate or nil})
if ignored then event(owner, at, 'account.ignored', {account = ignored}) end

if is_ref(owner) then
  -- Nobody knows the job yet. If nobody tells soon, a person must: the submit step looks after it then.
  if outcome == 'new' then carry(owner, origin) end
  local got = call('HMGET', record_key(owner), 'state', 'class')
  if got[1] == 'open' and not got[2] then set_due(owner, 'submit', at + C.link_patience_ms) end
  return done()
end

local key = 'sr:job:' .. owner
local state = get(key, 'state')
local unheard = first_word or state == 'waiting' or (outcome == 'new' and (state == 'failed' or (state == 'parked' and not get(key, 'renders'))))
if unheard or outcome == 'new' then carry(owner, origin) end
if unheard then
  set_state(owner, 'fetching', at)
  set(key, 'heard_at', at, 'tries', 0, 'crashes', 0)
  call('HDEL', key, 'reason', 'parked_from')
  state = 'fetching'
end
if outcome == 'new' and state ~= 'fetching' then call('ZADD', 'sr:unarchived', at, owner) end -- no fetch keeps its body
if state == 'fetching' then
  local attempt = get(key, 'attempt')
  local nudge = get(key, 'nudge')
  if get(key, 'begun') == attempt then
    set(key, 'heard', 1) -- its GET may have left before this callback: it looks once more afterwards
  elseif nudge and call('LPOS', 'rq:queue:' .. C.lane_of_class.fetch, nudge) then
    set_due(owner, 'fetch', at + C.lease_ms) -- it is about to be fetched anyway
  else
    dispatch(owner, state, at)
  end
end
return done()
