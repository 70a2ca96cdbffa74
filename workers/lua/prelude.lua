-- What every script of the ledger shares. C holds the constants of workers/work.py and workers/states.py, a what the
-- script was given.

local function now_ms(given)
  if given and given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Subjects: a job, <job>/<n> its render, ref:<ref> a submission whose job is not known yet, <owner>!<n> a delivery.
local kinds, record_keys = {}, {}

local function kind_of(subject)
  local kind = kinds[subject]
  if kind then return kind end
  if string.find(subject, '!', 1, true) then kind = 'delivery'
  elseif string.sub(subject, 1, 4) == 'ref:' then kind = 'submission'
  elseif string.find(subject, '/', 1, true) then kind = 'render'
  else kind = 'job' end
  kinds[subject] = kind
  return kind
end

local function is_delivery(subject) return kind_of(subject) == 'delivery' end

local function is_ref(subject) return kind_of(subject) == 'submission' end

local function is_render(subject) return kind_of(subject) == 'render' end

-- What stands among the jobs, in the listings and in the state of the whole.
local function is_job(subject) return kind_of(subject) == 'job' or kind_of(subject) == 'submission' end

-- Whose a subject is: a job, or a submission without one.
local function job_of(subject) return string.match(subject, '^([^/!]+)') end

local PREFIX_OF = {delivery = 'sr:delivery:', submission = 'sr:', render = 'sr:render:', job = 'sr:job:'}

local function record_key(subject)
  local key = record_keys[subject]
  if key then return key end
  key = PREFIX_OF[kind_of(subject)] .. subject
  record_keys[subject] = key
  return key
end

local function step_of(subject, state)
  if is_delivery(subject) then return C.step_of_delivery[state] end
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

-- What this script did, in order. publish() tells all of it when the script ends, each with the state that its subject has
-- by then. What changed without an event has an entry that the first event of its subject takes over.
local news, entry_of = {}, {}

local function changed(subject, at, name)
  if entry_of[subject] then return end
  entry_of[subject] = {subject = subject, at = at, event = name, silent = true}
  news[#news + 1] = entry_of[subject]
end

local function tell(subject, at, name)
  local entry = entry_of[subject]
  if not entry or not entry.silent then
    entry = {subject = subject, at = at}
    entry_of[subject] = entry
    news[#news + 1] = entry
  end
  entry.event, entry.silent = name, nil
end

-- Who listens to a ref must hear which job it is before anything of that job.
local function tell_first(subject, at, name)
  for i, entry in ipairs(news) do
    if entry.silent and entry.subject == subject then table.remove(news, i) break end
  end
  entry_of[subject] = {subject = subject, at = at, event = name}
  table.insert(news, 1, entry_of[subject])
end

-- The fields stand in one order, so that Redis keeps their names once for many entries; erase.lua reads them by place.
local function put_news(subject, at, name, state, progress, ...)
  return call('XADD', 'sr:events', 'MAXLEN', '~', C.events_cap, '*', 'subject', subject, 'event', name, 'state', state,
    'progress', progress, 'at', at, ...)
end

local function publish()
  local newest = {} -- by record: who erases it must know how far to look
  for _, entry in ipairs(news) do
    local state, progress, job = pick(record_key(entry.subject), 'state', 'progress', 'job_id')
    if state and job and is_ref(entry.subject) then
      newest['sr:job:' .. job] = put_news(entry.subject, entry.at, entry.event, state, progress or '', 'job', job)
    elseif state then
      newest[record_key(job_of(entry.subject))] = put_news(entry.subject, entry.at, entry.event, state, progress or '')
    end
  end
  for key, id in pairs(newest) do set(key, 'news', id) end
end

local function push_capped(key, entry, cap)
  if call('RPUSH', key, entry) > cap then call('LTRIM', key, -cap, -1) end
end

local function event(subject, at, name, fields)
  tell(subject, at, name)
  local entry = fields or {}
  entry.at = at
  entry.event = name
  if is_render(subject) then entry.render = tonumber(string.match(subject, '/(%d+)$')) end
  if is_delivery(subject) then entry.delivery = tonumber(string.match(subject, '!(%d+)$')) end
  local key = 'sr:timeline:' .. job_of(subject)
  push_capped(key, cjson.encode(entry), C.timeline_cap)
  call('HINCRBY', 'sr:counts', name, 1)
end

-- What happens is counted by the hour as well (workers/hours.py). The hashes expire by themselves.
local function count_hourly(at, name)
  local key = string.format('sr:hour:%d', math.floor(at / 3600000))
  if call('HINCRBY', key, name, 1) == 1 then call('EXPIRE', key, C.hour_kept_s) end
end

local function bucket_of(ms)
  if ms <= C.shortest_ms then return 0 end
  return math.min(C.last_bucket, math.ceil(C.per_doubling * math.log(ms / C.shortest_ms) / math.log(2) - 1e-9))
end

-- How long it took from a callback until what it brought was kept; of what a person set going again, from then on. Nothing
-- is counted where no callback came.
local function count_wait(at, since)
  since = tonumber(since or '')
  if since then count_hourly(at, 'took:' .. bucket_of(at - since)) end
end

-- What asks Swiftia for something stands in line by class and account, a delivery by its target, a file by class alone.
local function scope(account) return account and account ~= '' and '@' .. account or '' end

local function line_of(subject, class)
  local lane = class and C.lane_of_class[class]
  if lane == C.upstream then return class .. scope(get(record_key(subject), 'account')) end
  if lane == C.deliveries then return class .. scope(get(record_key(subject), 'target')) end
  return class
end

local function class_of_line(line) return (string.match(line, '^[^@]+')) end

-- Which attempts of an account are under way: 0 as long as a nudge waits for its worker, 1 once it is claimed.
local function busy_key(line)
  if C.lane_of_class[class_of_line(line)] ~= C.upstream then return nil end
  return 'sr:busy' .. (string.match(line, '@.*$') or '')
end

-- Every unfinished subject stands in exactly one line of what is due; the record remembers in which.
local function leave(subject, line)
  call('ZREM', 'sr:due:' .. line, subject)
  local busy = busy_key(line)
  if busy then call('ZREM', busy, subject) end
  if is_delivery(subject) and call('EXISTS', 'sr:due:' .. line) == 0 then
    call('ZREM', 'sr:targets', string.match(line, '@(.*)$'))
  end
end

-- Which lines there are is known for each account, and for each target that something is due for.
local function join(subject, line)
  local of = string.match(line, '@(.*)$')
  if not of then return end
  if is_delivery(subject) then call('ZADD', 'sr:targets', 'NX', 0, of) else call('SADD', 'sr:accounts', of) end
end

local function clear_due(subject)
  local key = record_key(subject)
  local old = get(key, 'class')
  if old then
    leave(subject, old)
    call('HDEL', key, 'class')
  end
end

-- Whether an attempt is under way is read off the record here, after each change of it: nobody keeps count, so there is
-- no count that a crash, a lost nudge or an erasure could leave wrong.
local function put_due(subject, line, at)
  local key = record_key(subject)
  local old, attempt, begun, nudge = pick(key, 'class', 'attempt', 'begun', 'nudge')
  if old ~= line then
    if old then leave(subject, old) end
    set(key, 'class', line)
    join(subject, line)
  end
  call('ZADD', 'sr:due:' .. line, at, subject)
  local busy = busy_key(line)
  if not busy then return end
  if begun and begun == attempt then
    call('ZADD', busy, 1, subject)
  elseif nudge then
    call('ZADD', busy, 0, subject)
  elseif old then -- whoever stood in no line is not among them either
    call('ZREM', busy, subject)
  end
end

local function set_due(subject, class, at) put_due(subject, line_of(subject, class), at) end

-- How many more attempts of an account may begin. Where there are several, one worker is left to the others. And one
-- that has not been answered well lately, as its own budget notes it, gets no second worker: it might hold that as well.
local function places(busy, at)
  local fine_at = get('sr:budget' .. string.sub(busy, #'sr:busy' + 1) .. ':state', 'fine_at')
  local fine = fine_at and at - tonumber(fine_at) < C.fine_ms
  local most = fine and call('SCARD', 'rq:workers:' .. C.upstream) - 1 or 1
  return math.max(1, most) - call('ZCARD', busy)
end

-- From here on a job and its renders belong to an account, and wait in its lines.
local function give_account(job, account)
  local subjects = {job}
  for n = 1, tonumber(get(record_key(job), 'renders') or '0') do subjects[#subjects + 1] = job .. '/' .. n end
  for _, subject in ipairs(subjects) do
    set(record_key(subject), 'account', account)
    local old = get(record_key(subject), 'class')
    local line = old and line_of(subject, class_of_line(old))
    if line ~= old then put_due(subject, line, call('ZSCORE', 'sr:due:' .. old, subject)) end
  end
end

-- Parked jobs by why (workers/parking.py): sr:parked:<group>, in the order of their parking; sr:parked names the groups.
local function leave_group(subject)
  local group = get(record_key(subject), 'group')
  if not group then return end
  call('HDEL', record_key(subject), 'group')
  call('ZREM', 'sr:parked:' .. group, subject)
  if call('EXISTS', 'sr:parked:' .. group) == 0 then call('SREM', 'sr:parked', group) end
end

-- Words of strangers make groups too, so there are only so many.
local function join_group(subject, group, at)
  if is_delivery(subject) then return end
  local new = call('SISMEMBER', 'sr:parked', group) == 0
  if new and call('SCARD', 'sr:parked') >= C.most_groups then group = C.other_group end
  set(record_key(subject), 'group', group)
  if not is_job(subject) then return end
  call('SADD', 'sr:parked', group)
  call('ZADD', 'sr:parked:' .. group, at, subject)
end

-- What set work off goes with its record, so that logs and traces of all that follows can name it. a: request_id, trace.
local function carry(subject, a)
  if not a.request_id then return end
  local key = record_key(subject)
  set(key, 'request_id', a.request_id)
  if a.trace then set(key, 'trace', a.trace) else call('HDEL', key, 'trace') end
end

-- The index of jobs by state. A submission without a job id stands among them as waiting, failed or parked.
local function index(subject, old, new, created)
  if not is_job(subject) then return end
  if old then call('ZREM', 'sr:jobs:' .. old, subject) end
  if old == 'parked' then leave_group(subject) end
  if new then call('ZADD', 'sr:jobs:' .. new, created, subject) end
end

-- What has ended, in the order of that, and of it the jobs that are not packed. What goes on again is not among it.
local function note_end(subject, old, new, at)
  if not is_job(subject) then return end
  if not new or not C.job_ended[new] then
    if not old or not C.job_ended[old] then return end
    call('ZREM', 'sr:ended', subject)
    call('ZREM', 'sr:unpacked', subject)
    return
  end
  call('ZADD', 'sr:ended', at, subject)
  if not is_ref(subject) then call('ZADD', 'sr:unpacked', at + C.pack_after_ms, subject) end
end

local function shown(subject, state)
  if not state or not is_ref(subject) then return state end
  return C.shown_ref[state]
end

local function count_state(subject, state, at)
  if is_job(subject) then
    if C.job_settled[state] then count_hourly(at, state) end
  elseif is_render(subject) and (state == 'kept' or state == 'done') then
    count_hourly(at, 'kept')
    count_wait(at, get(record_key(subject), 'again_at') or get(record_key(job_of(subject)), 'heard_at'))
  end
end

-- What is due stands in the class of its state, also while an attempt is under way that began in another state.
local function follow(subject, state, at)
  local old = get(record_key(subject), 'class')
  local class = class_of(subject, state)
  if not old or old == line_of(subject, class) then return end
  if class then set_due(subject, class, call('ZSCORE', 'sr:due:' .. old, subject) or at) else clear_due(subject) end
end

-- Bodies that are kept as artifacts now. One that came while the others were written waits for the next time.
local has_bodies = {} -- as far as it has been asked

local function forget_bodies(subject, receipts)
  local bodies = 'sr:bodies:' .. subject
  for _, receipt in ipairs(receipts) do call('HDEL', bodies, receipt) end -- more than one command may name
  has_bodies[subject] = call('EXISTS', bodies) == 1
  if not has_bodies[subject] then call('ZREM', 'sr:unarchived', subject) end
end

-- Bodies that no fetch is going to keep are the clock's to keep.
local function keep_bodies(subject, state, at)
  if is_ref(subject) or not is_job(subject) or C.step_of_job[state] then return end
  if has_bodies[subject] == false then return end
  if call('EXISTS', 'sr:bodies:' .. subject) == 1 then call('ZADD', 'sr:unarchived', at, subject) end
end

local function moves_of(subject)
  if is_delivery(subject) then return C.delivery_moves end
  if is_ref(subject) then return C.ref_moves end
  return is_render(subject) and C.render_moves or C.job_moves
end

-- The deliveries of a job go out one after the other: one of them is due, and the others wait for it. outbox is the first
-- that is not settled. It is due next, but for one that was due already when an earlier one was to be sent once more.
local function advance(owner, at)
  local key = record_key(owner)
  local got = call('HMGET', key, 'deliveries', 'outbox')
  local last, first = tonumber(got[1] or '0'), tonumber(got[2] or '1')
  while first <= last and C.delivery_settled[get(record_key(owner .. '!' .. first), 'state')] do
    first = first + 1
  end
  set(key, 'outbox', first)
  for n = first, last do
    if call('HEXISTS', record_key(owner .. '!' .. n), 'class') == 1 then return end
  end
  local head = owner .. '!' .. first
  if first <= last then put_due(head, line_of(head, 'deliver'), at) end
end

local function set_state(subject, new, at)
  local key = record_key(subject)
  local old = get(key, 'state')
  if old == new then return true end
  if old and not string.find(moves_of(subject), ' ' .. old .. '>' .. new .. ' ', 1, true) then return false end
  set(key, 'state', new, 'updated', at)
  changed(subject, at, 'state')
  index(subject, shown(subject, old), shown(subject, new), get(key, 'created') or at)
  note_end(subject, shown(subject, old), shown(subject, new), at)
  count_state(subject, shown(subject, new), at)
  follow(subject, new, at)
  keep_bodies(subject, new, at)
  if is_delivery(subject) then
    if new == 'parked' then call('ZADD', 'sr:deliveries:parked', at, subject) end
    if old == 'parked' then call('ZREM', 'sr:deliveries:parked', subject) end
    if C.delivery_settled[new] then advance(job_of(subject), at) end
  end
  return true
end

-- The team's application is to hear of something: write it down, for the job's target if it has one. facts: what is told
-- beside the job itself, as it is now.
local function announce(owner, name, at, facts)
  local key = record_key(owner)
  local got = call('HMGET', key, 'target', 'account', 'attempt', 'created')
  local target = got[1] or C.targets[got[2] or '']
  if not C.announced[name] or not target or target == '' then return end
  local subject = owner .. '!' .. call('HINCRBY', key, 'deliveries', 1)
  local id = 'msg_' .. string.sub(redis.sha1hex(subject .. ' ' .. got[4]), 1, 32)
  set(record_key(subject), 'created', at, 'since', at, 'attempt', got[3], 'target', target, -- as plan.lua
    'id', id, 'event', name, 'facts', cjson.encode(facts))
  set_state(subject, 'pending', at)
  advance(owner, at)
end

-- How many renders a job has, which of them are parked, how many failed, and whether all of them are settled.
local function tally(job)
  local total, parked, failed, settled = tonumber(get(record_key(job), 'renders') or '0'), {}, 0, true
  for n = 1, total do
    local state = get('sr:render:' .. job .. '/' .. n, 'state')
    settled = settled and C.render_settled[state]
    if state == 'parked' then parked[#parked + 1] = n end
    if state == 'failed' then failed = failed + 1 end
  end
  return total, parked, failed, settled
end

-- A render or a job has come to a state that is announced.
local function announce_state(subject, state, at)
  if is_render(subject) and (state == 'kept' or state == 'done' or state == 'failed') then
    local got = call('HMGET', record_key(subject), 'short', 'render_id', 'size', 'sha256', 'url', 'reason')
    local facts = {n = tonumber(string.match(subject, '/(%d+)$')), short = got[1] or nil, render_id = got[2] or nil}
    if state == 'failed' then
      facts.reason = got[6] or nil
    else
      facts.size, facts.sha256, facts.url = tonumber(got[3] or ''), got[4] or nil, got[5] or nil
    end
    announce(job_of(subject), state == 'failed' and 'render.failed' or 'render.kept', at, facts)
  elseif is_job(subject) and state == 'failed' and not get(record_key(subject), 'told') then
    announce(subject, 'job.failed', at, {reason = get(record_key(subject), 'reason') or nil})
  elseif is_job(subject) and state == 'finished' then
    local total, _, failed = tally(subject)
    announce(subject, 'job.finished', at, {renders = {total = total, kept = total - failed, failed = failed}})
  end
end

-- A nudge is an RQ job made from RQ's own serialization of one; only step, subject and attempt differ.
local known_queues = {}

local function push_nudge(subject, step, attempt, lane)
  local id = step .. '-' .. string.gsub(string.gsub(subject, '/', '--'), ':', '-') .. '-' .. attempt
  local template = C.nudge[lane]
  local data = string.gsub(template.data, '@STEP@', step)
  data = string.gsub(data, '@SUBJECT@', subject)
  data = string.gsub(data, '"@ATTEMPT@"', attempt)
  set('rq:job:' .. id, 'data', data, unpack(template.fields))
  if not known_queues[lane] then call('SADD', 'rq:queues', 'rq:queue:' .. lane) end
  known_queues[lane] = true
  call('RPUSH', 'rq:queue:' .. lane, id)
  return id
end

-- Start the next attempt: from here on an earlier one can change nothing. A full queue, or an account that has all its
-- places taken, leaves it due for the clock. Its place in the line is noted: an attempt that comes to nothing goes back there.
local function dispatch(subject, state, at)
  local class = class_of(subject, state)
  local lane = C.lane_of_class[class]
  if lane == C.deliveries then -- couriers take what is due, without a nudge
    set_due(subject, class, at)
    return false
  end
  local busy = busy_key(line_of(subject, class))
  local crowded = C.several and busy and not call('ZSCORE', busy, subject) and places(busy, at) < 1
  if crowded or call('LLEN', 'rq:queue:' .. lane) >= C.queue_cap then
    set_due(subject, class, at)
    return false
  end
  local key = record_key(subject)
  local attempt = call('HINCRBY', key, 'attempt', 1)
  local id = push_nudge(subject, step_of(subject, state), string.format('%d', attempt), lane)
  local line = line_of(subject, class)
  local place = tonumber(get(key, 'class') == line and call('ZSCORE', 'sr:due:' .. line, subject) or at)
  set(key, 'nudge', id, 'place', string.format('%.0f', math.min(place, at)))
  set_due(subject, class, at + C.lease_ms)
  return true
end

-- Give an attempt to the run that asks for it. A moment that lies ahead was noted before Redis's clock went back: its age
-- would be nought until the time has caught up, so it is counted anew from here.
local function claim_attempt(subject, attempt, class, at)
  local key = record_key(subject)
  set(key, 'begun', attempt, 'begun_at', at)
  set_due(subject, class, at + C.lease_ms)
  for _, moment in ipairs({'updated', 'heard_at', 'started_at'}) do
    if (tonumber(get(key, moment) or '') or 0) > at then set(key, moment, at) end
  end
end

-- What a step is given: its record, the job's for a render, the time, and for a fetch the bodies that it is to keep.
local function needed(subject, step, at)
  local job = is_render(subject) and call('HGETALL', 'sr:job:' .. job_of(subject)) or {}
  local bodies = step == 'fetch' and call('HGETALL', 'sr:bodies:' .. subject) or {}
  return {call('HGETALL', record_key(subject)), job, string.format('%.0f', at), bodies}
end

-- Claim an attempt for the run that names it, and give what it needs; nothing if it is over, or another run's.
local function begin_attempt(subject, step, number, at)
  local key = record_key(subject)
  take_up(key)
  local attempt, begun, state, ended = pick(key, 'attempt', 'begun', 'state', 'ended')
  if attempt ~= number or begun == number or ended == number or not state then return nil end
  if step_of(subject, state) ~= step then return nil end
  claim_attempt(subject, number, class_of(subject, state), at)
  return needed(subject, step, at)
end

-- The attempt is over: nothing may claim it again, not even a nudge of it that was doubled on its way.
local function end_attempt(key)
  set(key, 'ended', get(key, 'attempt'))
  call('HDEL', key, 'begun', 'begun_at', 'nudge', 'heard', 'spared', 'place')
end

-- How an attempt that is under way ends, and how long it took. To be called before end_attempt.
local function measure_attempt(subject, state, outcome, at)
  local step, since = step_of(subject, state), tonumber(get(record_key(subject), 'begun_at') or '')
  if step and since then observe('step', step .. '|' .. outcome, at - since) end
end

-- How long after a job's callback its result, or the last of its files, is kept; of one that a person set going again,
-- from then on.
local function measure_since_heard(family, job, at)
  local heard_at, again_at = pick(record_key(job), 'heard_at', 'again_at')
  if heard_at then observe(family, '', at - tonumber(again_at or heard_at)) end
end

local function park(subject, reason, at, group)
  local key = record_key(subject)
  local old = get(key, 'state')
  if not set_state(subject, 'parked', at) then return false end
  set(key, 'parked_from', old, 'reason', reason)
  join_group(subject, group, at)
  count('parked|' .. kind_of(subject) .. '|' .. old)
  end_attempt(key)
  clear_due(subject)
  event(subject, at, is_delivery(subject) and 'delivery.parked' or 'parked', {reason = reason, from = old})
  if is_job(subject) then announce(subject, 'job.parked', at, {reason = reason, from = old}) end
  return true
end

local erased_until = {}

local function erased(name)
  if erased_until[name] == nil then erased_until[name] = call('ZSCORE', 'sr:erased', redis.sha1hex(name)) end
  return erased_until[name]
end

-- Whoever names an erased job or ref again wants to hear of it.
local function revive(name)
  if not erased(name) then return false end
  erased_until[name] = false
  return call('ZREM', 'sr:erased', redis.sha1hex(name)) == 1
end

-- Begin a record. Its attempts count on from the time if it was here before and erased: a run of that life must not pass
-- for one of this. The clock may have gone back since, so it is also more than any life began with.
local ATTEMPTS_OF_A_LIFE = 1000000
local function begin_record(subject, name, at)
  local key = record_key(subject)
  set(key, 'created', at, 'attempt', 0) -- first of all: a full server refuses it, and nothing is half done
  if not revive(name) then return end
  local first = math.max(at, tonumber(get('sr:clock', 'life') or '0') + ATTEMPTS_OF_A_LIFE)
  set('sr:clock', 'life', first)
  set(key, 'attempt', first)
end

local function new_job(job, at)
  begin_record(job, job, at)
  set_state(job, 'waiting', at)
end

-- A delivery gets another name and keeps its id. One that is under way is fenced out and sent once more.
local function hand_over(from, to, at)
  clear_due(from)
  local key = record_key(to)
  call('RENAME', record_key(from), key)
  call('HINCRBY', key, 'attempt', 1)
  end_attempt(key)
  changed(to, at, 'state')
  if call('ZREM', 'sr:deliveries:parked', from) == 1 then call('ZADD', 'sr:deliveries:parked', at, to) end
end

-- What came under a ref is its job's. Answers whether callbacks did.
local function take_over(subject, job)
  local heard = call('LLEN', 'sr:callbacks:' .. subject) > 0
  for _, family in ipairs({'timeline', 'callbacks'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. job
    for _, entry in ipairs(call('LRANGE', from, 0, -1)) do call('RPUSH', to, entry) end
    call('DEL', from)
  end
  for _, family in ipairs({'bodies', 'seen'}) do
    local from, to = 'sr:' .. family .. ':' .. subject, 'sr:' .. family .. ':' .. job
    local all = call('HGETALL', from)
    for i = 1, #all, 2 do set(to, all[i], all[i + 1]) end
    call('DEL', from)
  end
  return heard
end

-- From here on a ref stands for its job, and what came under it is the job's. Its account is the job's where that had
-- none, or where the ref is a submission's: that account's key has made the job.
-- Answers whether callbacks came under it, and its account if that is not the job's.
local function adopt(job, ref, at, made)
  local key, subject = 'sr:job:' .. job, 'ref:' .. ref
  local own = record_key(subject)
  if get(own, 'job_id') then return false end
  local account, known = get(own, 'account'), get(key, 'account')
  local other = account and known and account ~= known and not made
  if account and account ~= known and not other then give_account(job, account) end
  local given = {'metadata', 'render', 'function', 'target', 'delivery_url', 'submit_id', 'request_id', 'trace'}
  for _, name in ipairs(given) do
    local value = get(own, name)
    if value then call('HSETNX', key, name, value) end
  end
  if call('HSETNX', key, 'ref', ref) == 0 then
    set(key, 'more_refs', (get(key, 'more_refs') or '') .. ' ' .. ref) -- to be erased with it
  end
  revive(ref)
  local created, claim = unpack(call('HMGET', own, 'created', 'claim'))
  if call('HEXISTS', own, 'request') == 1 and tonumber(created) < tonumber(get(key, 'created')) then
    set(key, 'created', created) -- a submission keeps its place in the list
  end
  clear_due(subject)
  local was = get(own, 'state')
  local heard = false
  if was then
    index(subject, shown(subject, was), nil)
    note_end(subject, shown(subject, was), nil)
    heard = take_over(subject, job)
  end
  local deliveries = tonumber(get(own, 'deliveries') or '0')
  for n = 1, deliveries do
    hand_over(subject .. '!' .. n, job .. '!' .. call('HINCRBY', key, 'deliveries', 1), at)
  end
  if deliveries > 0 then advance(job, at) end
  if was then call('DEL', own) end
  set(own, 'state', 'linked', 'job_id', job, 'created', at)
  tell_first(subject, at, 'linked')
  if claim then set(own, 'claim', claim) end -- to be erased with it
  local state = get(key, 'state')
  if was and state then
    index(job, nil, state, get(key, 'created'))
    keep_bodies(job, state, at)
  end
  return heard, other and account or nil
end

local function all_kept(job, total)
  for n = 1, total do
    if get('sr:render:' .. job .. '/' .. n, 'state') ~= 'kept' then return false end
  end
  return true
end

-- A job ends when the last of its renders has ended. One that needs a person makes the job need a person.
local function settle_job(job, at)
  local key = 'sr:job:' .. job
  if get(key, 'state') ~= 'rendering' then return end
  local total, parked, failed, settled = tally(job)
  if not settled then return end
  if #parked > 0 then
    local why = call('HMGET', 'sr:render:' .. job .. '/' .. parked[1], 'reason', 'group')
    local reason = 'render ' .. table.concat(parked, ', ') .. ' parked: ' .. (why[1] or '')
    park(job, reason, at, why[2] or C.other_group)
    return
  end
  set_state(job, 'finished', at)
  if total == 0 then count_wait(at, get(key, 'heard_at')) end
  call('HDEL', key, 'begun', 'nudge', 'heard', 'reason')
  clear_due(job)
  event(job, at, 'finished', {renders = total, failed = failed})
  if total > failed then measure_since_heard('kept', job, at) end
  announce_state(job, 'finished', at)
  if C.frees and total > 0 and all_kept(job, total) then call('ZADD', 'sr:freeing', at, job) end
end

-- An attempt ended without an outcome: its worker noticed and says why, or its lease lapsed. After too many in a row it is
-- parked, as it would take down the next worker too. Answers how many they are, or nothing if it is parked now.
local function crashed(subject, attempt, reason, at)
  local crashes, state = call('HINCRBY', record_key(subject), 'crashes', 1), get(record_key(subject), 'state')
  measure_attempt(subject, state, reason and 'crashed' or 'silent', at)
  event(subject, at, reason and 'crashed' or 'silent', {attempt = tonumber(attempt), crashes = crashes, reason = reason})
  if crashes < C.deadly_crashes then return crashes end
  local said = 'its worker died ' .. crashes .. ' times in a row, last because: ' .. (reason or 'fell silent')
  if state == 'starting' then said = said .. '; Swiftia may have started this render, so a retry may pay for a second one' end
  park(subject, said, at, C.crash_group)
  if is_render(subject) then settle_job(job_of(subject), at) end
end

-- What waits moves back with the clock, else it stood still for as long as the clock went back. What is under way has a
-- whole lease ahead at most, also if it was renewed since. No time grows, so those still to come keep their ranks.
local function move_back(due, at, back)
  local from = 0
  repeat
    local found = call('ZRANGE', due, from, from + 499, 'WITHSCORES')
    for i = 1, #found, 2 do
      local got = call('HMGET', record_key(found[i]), 'attempt', 'begun', 'nudge')
      local under_way = got[3] or (got[2] and got[2] == got[1])
      local time = tonumber(found[i + 1])
      call('ZADD', due, under_way and math.min(time, at + C.lease_ms) or time - back, found[i])
    end
    from = from + #found / 2
  until #found == 0
end

-- One pass of what is due in some lines, noted under a name: answers when the last gap between two passes ended, and how
-- far Redis's clock went back. A gap says that Redis was away, the time jumped ahead, or nobody passed: a lease that
-- lapsed by then may be one that nobody could renew.
local function pass_of(pass, lines, at)
  local passes = call('HMGET', 'sr:clock', pass, pass .. ':gap')
  local last = tonumber(passes[1] or at)
  local gap_end, back = passes[2] and tonumber(passes[2]), 0
  if at - last > C.gap_ms then
    gap_end = at
  elseif last - at > C.went_back_ms then
    back = last - at
    gap_end = gap_end and math.min(gap_end, at)
    for _, line in ipairs(lines) do move_back('sr:due:' .. line, at, back) end
  end
  set('sr:clock', pass, at)
  if gap_end then set('sr:clock', pass .. ':gap', gap_end) end
  return gap_end, back
end

-- What becomes of an attempt that is overdue: spared (it has one more lease, until it says that it lives), parked, silent
-- (the next one may begin), or new (it never began: its nudge was lost, not its worker).
local function fate_of(subject, due, time, gap_end, at)
  local key = record_key(subject)
  local got = call('HMGET', key, 'attempt', 'begun', 'spared')
  if got[2] ~= got[1] then return 'new' end
  if gap_end and time <= gap_end and got[3] ~= got[1] then
    set(key, 'spared', got[1])
    call('ZADD', due, at + C.lease_ms, subject)
    return 'spared'
  end
  return crashed(subject, got[1], nil, at) and 'silent' or 'parked'
end

-- Take up the records that a script is about. Of a job that is packed nothing can be written: whoever runs the script
-- unpacks it, and runs it again.
local function take_up_all()
  local by_ref
  if a.ref and a.ref ~= '' then
    take_up('sr:ref:' .. a.ref)
    by_ref = get('sr:ref:' .. a.ref, 'job_id')
  end
  if a.subject then take_up(record_key(a.subject)) end
  for _, job in ipairs({a.job or '', a.subject and job_of(a.subject) or '', by_ref or ''}) do
    if job ~= '' then
      take_up(record_key(job))
      if call('HEXISTS', record_key(job), 'packed') == 1 then return job end
    end
  end
end
