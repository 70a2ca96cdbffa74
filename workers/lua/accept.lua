-- Keep one callback and make its job due, in one step. Repeating it changes nothing more.
-- ARGV: 1 JSON {now, ref, job, receipt, digest, meta{}}, 2 the raw body. ref or job may be '', not both.
-- Answers {outcome, owner, receipt}: new, duplicate, erased, or full (so many different ones that no more are kept).
local a = cjson.decode(ARGV[1])
local at = now_ms(a.now)
local owner

local function erased(name) return call('ZSCORE', 'sr:erased', redis.sha1hex(name)) end

local function know(job, ref)
  local key = 'sr:job:' .. job
  if call('EXISTS', key) == 1 then return end
  call('HSET', key, 'created', at, 'attempt', 0)
  if ref ~= '' then
    call('HSET', key, 'ref', ref)
    for _, name in ipairs({'metadata', 'render', 'function'}) do
      local value = call('HGET', 'sr:ref:' .. ref, name)
      if value then call('HSET', key, name, value) end
    end
  end
  set_state(job, 'waiting', at)
  event(job, at, 'known', {by = 'callback'})
end

if a.ref ~= '' then
  if erased(a.ref) then return {'erased', '', a.receipt} end
  local key = 'sr:ref:' .. a.ref
  if call('EXISTS', key) == 0 then
    call('HSET', key, 'created', at, 'attempt', 0)
    set_state('ref:' .. a.ref, 'open', at)
  end
  local job = call('HGET', key, 'job_id')
  local state = call('HGET', key, 'state')
  if not job and a.job ~= '' and (state == 'open' or state == 'parked') and not erased(a.job) then
    know(a.job, a.ref)
    job = a.job
    clear_due('ref:' .. a.ref)
    index('ref:' .. a.ref, shown('ref:' .. a.ref, state), nil)
    call('HSET', key, 'job_id', job, 'state', 'linked')
  end
  owner = job or ('ref:' .. a.ref)
else
  if erased(a.job) then return {'erased', '', a.receipt} end
  know(a.job, '')
  owner = a.job
end

local outcome = 'new'
if call('HEXISTS', 'sr:seen:' .. owner, a.digest) == 1 then
  outcome = 'duplicate'
  a.receipt = call('HGET', 'sr:seen:' .. owner, a.digest)
elseif call('HLEN', 'sr:seen:' .. owner) >= C.callbacks_cap then
  outcome = 'full' -- its job is looked at all the same
else
  call('HSET', 'sr:seen:' .. owner, a.digest, a.receipt)
  call('HSET', 'sr:bodies:' .. owner, a.receipt, ARGV[2])
end
a.meta.receipt = a.receipt
a.meta.at = at
a.meta.duplicate = outcome == 'duplicate'
call('RPUSH', 'sr:callbacks:' .. owner, cjson.encode(a.meta))
call('LTRIM', 'sr:callbacks:' .. owner, -C.callbacks_cap, -1)
event(owner, at, 'callback', {receipt = a.receipt, duplicate = a.meta.duplicate or nil})

if is_ref(owner) then
  -- Nobody knows the job yet. If nobody tells soon, a person must: the submit step looks after it then.
  if call('HGET', record_key(owner), 'state') == 'open' then set_due(owner, 'submit', at + C.link_patience_ms) end
  return {outcome, owner, a.receipt}
end

local key = 'sr:job:' .. owner
local state = call('HGET', key, 'state')
local unheard = state == 'waiting' or (outcome == 'new' and (state == 'failed' or (state == 'parked' and not call('HGET', key, 'renders'))))
if unheard then
  set_state(owner, 'fetching', at)
  call('HSET', key, 'heard_at', at, 'tries', 0, 'crashes', 0)
  call('HDEL', key, 'reason', 'parked_from')
  state = 'fetching'
end
if outcome == 'new' and state ~= 'fetching' then call('ZADD', 'sr:unarchived', at, owner) end -- no fetch keeps its body
if state == 'fetching' then
  local attempt = call('HGET', key, 'attempt')
  local nudge = call('HGET', key, 'nudge')
  if call('HGET', key, 'begun') == attempt then
    call('HSET', key, 'heard', 1) -- its GET may have left before this callback: it looks once more afterwards
  elseif nudge and call('LPOS', 'rq:queue:' .. C.lane_of_class.fetch, nudge) then
    set_due(owner, 'fetch', at + C.lease_ms) -- it is about to be fetched anyway
  else
    dispatch(owner, state, at)
  end
end
return {outcome, owner, a.receipt}
