-- What the scripts that pack a job away, and get it back, share (see workers/attic.py).

-- Everything that is kept of a job, in the order of workers/bundle.py.
local function parts_of(job)
  local key = record_key(job)
  local got = call('HMGET', key, 'renders', 'deliveries', 'ref', 'more_refs')
  local renders, deliveries, refs = {}, {}, {}
  for n = 1, tonumber(got[1] or '0') do renders[n] = call('HGETALL', record_key(job .. '/' .. n)) end
  for n = 1, tonumber(got[2] or '0') do deliveries[n] = call('HGETALL', record_key(job .. '!' .. n)) end
  for ref in string.gmatch((got[3] or '') .. (got[4] or ''), '%S+') do
    refs[#refs + 1] = ref
    refs[#refs + 1] = call('HGETALL', 'sr:ref:' .. ref)
  end
  local timeline = call('LRANGE', 'sr:timeline:' .. job, 0, -1)
  local callbacks = call('LRANGE', 'sr:callbacks:' .. job, 0, -1)
  return {call('HGETALL', key), renders, deliveries, timeline, callbacks, call('HGETALL', 'sr:seen:' .. job), refs}
end

local function proof_of(parts) return redis.sha1hex(cmsgpack.pack(parts)) end

-- A job has come to rest when it has ended, nothing of it is due or on its way, and no body of it waits for the clock.
local function is_at_rest(job)
  local key = record_key(job)
  local got = call('HMGET', key, 'state', 'packed', 'class', 'deliveries')
  if not got[1] or got[2] or got[3] or not C.job_ended[got[1]] then return false end
  for n = 1, tonumber(got[4] or '0') do
    if not C.delivery_settled[get(record_key(job .. '!' .. n), 'state')] then return false end
  end
  return call('EXISTS', 'sr:bodies:' .. job) == 0 and not call('ZSCORE', 'sr:freeing', job)
end
