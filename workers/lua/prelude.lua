-- What every script of the ledger shares. C holds the constants of workers/work.py and workers/states.py.

local function call(...) return redis.call(...) end

local function now_ms(given)
  if given and given ~= '' then return tonumber(given) end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function is_ref(subject) return string.sub(subject, 1, 4) == 'ref:' end

local function job_of(subject)
  if is_ref(subject) then return subject end
  return string.match(subject, '^([^/]+)')
end

local function is_render(subject) return not is_ref(subject) and string.find(subject, '/', 1, true) ~= nil end

local function record_key(subject)
  if is_ref(subject) then return 'sr:' .. subject end
  if is_render(subject) then return 'sr:render:' .. subject end
  return 'sr:job:' .. subject
end

local function step_of(subject, state)
  if is_ref(subject) then return C.step_of_ref[state] end
  if is_render(subject) then return C.step_of_render[state] end
  return C.step_of_job[state]
end

local function class_of(subject, state)
  local step = step_of(subject, state)
  if not step then return nil end
  if step == 'fetch' then return C.class_of_job[state] end
  return C.class_of_step[step]
end

local function event(subject, at, name, fields)
  local entry = fields or {}
  entry.at = at
  entry.event = name
  if is_render(subject) then entry.render = tonumber(string.match(subject, '/(%d+)$')) end
  local key = 'sr:timeline:' .. job_of(subject)
  call('RPUSH', key, cjson.encode(entry))
  call('LTRIM', key, -C.timeline_cap, -1)
end

-- Every unfinished subject stands in exactly one class of what is due; the record remembers in which.
local function clear_due(subject)
  local key = record_key(subject)
  local old = call('HGET', key, 'class')
  if old then
    call('ZREM', 'sr:due:' .. old, subject)
    call('HDEL', key, 'class')
  end
end

local function set_due(subject, class, at)
  local key = record_key(subject)
  local old = call('HGET', key, 'class')
  if old ~= class then
    if old then call('ZREM', 'sr:due:' .. old, subject) end
    call('HSET', key, 'class', class)
  end
  call('ZADD', 'sr:due:' .. class, at, subject)
end

-- The index of jobs by state. A submission without a job id stands among them as waiting, failed or parked.
local function index(subject, old, new, created)
  if is_render(subject) then return end
  if old then call('ZREM', 'sr:jobs:' .. old, subject) end
  if new then
    call('ZADD', 'sr:jobs:' .. new, created, subject)
    call('ZADD', 'sr:jobs', created, subject)
  else
    call('ZREM', 'sr:jobs', subject)
  end
end

local function shown(subject, state)
  if not state or not is_ref(subject) then return state end
  return C.shown_ref[state]
end

-- What is due stands in the class of its state, also while an attempt is under way that began in another state.
local function follow(subject, state, at)
  local old = call('HGET', record_key(subject), 'class')
  local class = class_of(subject, state)
  if not old or old == class then return end
  local due = call('ZSCORE', 'sr:due:' .. old, subject)
  if class then set_due(subject, class, due or at) else clear_due(subject) end
end

-- Bodies that no fetch is going to keep are the clock's to keep.
local function keep_bodies(subject, state, at)
  if is_ref(subject) or is_render(subject) or C.step_of_job[state] then return end
  if call('EXISTS', 'sr:bodies:' .. subject) == 1 then call('ZADD', 'sr:unarchived', at, subject) end
end

local function set_state(subject, new, at)
  local key = record_key(subject)
  local old = call('HGET', key, 'state')
  if old == new then return true end
  local moves = is_ref(subject) and C.ref_moves or (is_render(subject) and C.render_moves or C.job_moves)
  if old and not (moves[old] and moves[old][new]) then return false end
  call('HSET', key, 'state', new, 'updated', at)
  index(subject, shown(subject, old), shown(subject, new), call('HGET', key, 'created') or at)
  follow(subject, new, at)
  keep_bodies(subject, new, at)
  return true
end

-- A nudge is an RQ job made from RQ's own serialization of one; only step, subject and attempt differ.
local function push_nudge(subject, step, attempt, lane)
  local id = step .. '-' .. string.gsub(string.gsub(subject, '/', '--'), ':', '-') .. '-' .. attempt
  local template = C.nudge[lane]
  local fields = {}
  for name, value in pairs(template.fields) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  local data = string.gsub(template.data, '@STEP@', step)
  data = string.gsub(data, '@SUBJECT@', subject)
  data = string.gsub(data, '"@ATTEMPT@"', attempt)
  call('HSET', 'rq:job:' .. id, 'data', data, unpack(fields))
  call('SADD', 'rq:queues', 'rq:queue:' .. lane)
  call('RPUSH', 'rq:queue:' .. lane, id)
  return id
end

-- Start the next attempt: from here on an earlier one can change nothing. A full queue leaves it due, for the clock.
local function dispatch(subject, state, at)
  local class = class_of(subject, state)
  local lane = C.lane_of_class[class]
  if call('LLEN', 'rq:queue:' .. lane) >= C.queue_cap then
    set_due(subject, class, at)
    return false
  end
  local key = record_key(subject)
  local attempt = call('HINCRBY', key, 'attempt', 1)
  local id = push_nudge(subject, step_of(subject, state), string.format('%d', attempt), lane)
  call('HSET', key, 'nudge', id)
  set_due(subject, class, at + C.lease_ms)
  return true
end

-- The attempt is over: nothing may claim it again, not even a nudge of it that was doubled on its way.
local function end_attempt(key)
  call('HSET', key, 'ended', call('HGET', key, 'attempt'))
  call('HDEL', key, 'begun', 'nudge', 'heard')
end

local function park(subject, reason, at)
  local key = record_key(subject)
  local old = call('HGET', key, 'state')
  if not set_state(subject, 'parked', at) then return false end
  call('HSET', key, 'parked_from', old, 'reason', reason)
  end_attempt(key)
  clear_due(subject)
  event(subject, at, 'parked', {reason = reason, from = old})
  return true
end

-- Whoever names an erased job or ref again wants to hear of it.
local function revive(name) return call('ZREM', 'sr:erased', redis.sha1hex(name)) == 1 end

-- Begin a record. Its attempts count on from the time if it was here before and erased: a run of that life must not pass
-- for one of this.
local function begin_record(subject, name, at)
  local key = record_key(subject)
  call('HSET', key, 'created', at, 'attempt', 0) -- first of all: a full server refuses it, and nothing is half done
  if revive(name) then call('HSET', key, 'attempt', at) end
end

local function new_job(job, at)
  begin_record(job, job, at)
  set_state(job, 'waiting', at)
end

-- From here on a ref stands for its job, and what came under it is the job's. Answers whether callbacks came under it.
local function adopt(job, ref, at)
  local key, subject = 'sr:job:' .. job, 'ref:' .. ref
  local own = record_key(subject)
  if call('HGET', own, 'job_id') then return false end
  for _, name in ipairs({'metadata', 'render', 'function'}) do
    local value = call('HGET', own, name)
    if value then call('HSETNX', key, name, value) end
  end
  if call('HSETNX', key, 'ref', ref) == 0 then
    call('HSET', key, 'more_refs', (call('HGET', key, 'more_refs') or '') .. ' ' .. ref) -- to be erased with it
  end
  revive(ref)
  local created = call('HGET', own, 'created')
  if call('HEXISTS', own, 'request') == 1 and tonumber(created) < tonumber(call('HGET', key, 'created')) then
    call('HSET', key, 'created', created) -- a submission keeps its place in the list
  end
  clear_due(subject)
  index(subject, shown(subject, call('HGET', own, 'state')), nil)
  local heard = call('LLEN', 'sr:callbacks:' .. subject) > 0
  for _, family in ipairs({'timeline', 'callbacks'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. job
    for _, entry in ipairs(call('LRANGE', from, 0, -1)) do call('RPUSH', to, entry) end
    call('DEL', from)
  end
  for _, family in ipairs({'bodies', 'seen'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. job
    local all = call('HGETALL', from)
    for i = 1, #all, 2 do call('HSET', to, all[i], all[i + 1]) end
    call('DEL', from)
  end
  call('DEL', own)
  call('HSET', own, 'state', 'linked', 'job_id', job, 'created', at)
  local state = call('HGET', key, 'state')
  index(job, nil, state, call('HGET', key, 'created'))
  keep_bodies(job, state, at)
  return heard
end

-- A job ends when the last of its renders has ended. One that needs a person makes the job need a person.
local function settle_job(job, at)
  local key = 'sr:job:' .. job
  if call('HGET', key, 'state') ~= 'rendering' then return end
  local total = tonumber(call('HGET', key, 'renders') or '0')
  local parked, failed = {}, 0
  for n = 1, total do
    local state = call('HGET', 'sr:render:' .. job .. '/' .. n, 'state')
    if not C.render_settled[state] then return end
    if state == 'parked' then parked[#parked + 1] = n end
    if state == 'failed' then failed = failed + 1 end
  end
  if #parked > 0 then
    local why = call('HGET', 'sr:render:' .. job .. '/' .. parked[1], 'reason') or ''
    park(job, 'render ' .. table.concat(parked, ', ') .. ' parked: ' .. why, at)
    return
  end
  set_state(job, 'finished', at)
  call('HDEL', key, 'begun', 'nudge', 'heard', 'reason')
  clear_due(job)
  event(job, at, 'finished', {renders = total, failed = failed})
end
