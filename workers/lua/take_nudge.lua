-- Take the next nudge off the queue of a lane and claim its attempt, for a horse that goes on. RQ hears nothing of it: there
-- is no RQ job any more, as a nudge that is lost comes back by the lease.
-- ARGV: 1 JSON {now, lane, worker, run}. run: names this asking. Asked again, the same is answered.
-- Answers {subject, step, attempt, timeout, what begin.lua answers}. Nothing where none waits, and where what comes next is
-- RQ's to deal with: it is none of ours, or nobody is to work now.
--
-- sr:given:<worker> is what a worker was given last, as JSON: run, step, subject, attempt, moment, timeout.
local at = now_ms(a.now)
local given, queue = 'sr:given:' .. a.worker, 'rq:queue:' .. a.lane

local function was_given()
  local text = call('GET', given)
  local run, step, subject, attempt, _, timeout = unpack(text and cjson.decode(text) or {})
  if run ~= a.run then return nil end
  take_up(record_key(subject))
  local now, begun = pick(record_key(subject), 'attempt', 'begun')
  if now ~= attempt or begun ~= attempt then return nil end
  return {subject, step, attempt, timeout, needed(subject, step, at)}
end

-- The step, subject and attempt of an RQ job that is a nudge of ours, and for how long RQ would let it run.
local function read_nudge(id)
  local got = redis.pcall('HMGET', 'rq:job:' .. id, 'data', 'timeout')
  if got.err then return nil end
  local data, timeout = unpack(got)
  if not data and not timeout then return false end -- it is there no more
  local readable, document = pcall(cjson.decode, data or '')
  timeout = tonumber(timeout or '')
  if not readable or type(document) ~= 'table' or document[1] ~= C.entry_point or type(document[3]) ~= 'table' then
    return nil
  end
  local step, subject, attempt = unpack(document[3])
  if type(step) ~= 'string' or type(subject) ~= 'string' or type(attempt) ~= 'number' then return nil end
  if not timeout or timeout <= 0 or timeout > C.longest_timeout_s then return nil end
  return {step = step, subject = subject, attempt = string.format('%.0f', attempt), timeout = math.ceil(timeout)}
end

local again = was_given()
if again then return again end
if call('EXISTS', 'rq:suspended') == 1 then return false end
local noted = false
while true do
  local id = call('LINDEX', queue, 0)
  local nudge = id and string.find(id, '^[%w_-]+$') and read_nudge(id)
  if nudge == nil or not id then
    if noted then call('DEL', given) end -- it was stale
    return false
  end
  noted = noted or nudge
  if nudge then
    -- Written first: a server whose memory is full refuses it, and then nothing is half done.
    local told = {a.run, nudge.step, nudge.subject, nudge.attempt, string.format('%.0f', at), nudge.timeout}
    call('SET', given, cjson.encode(told), 'EX', nudge.timeout + 60)
  end
  call('LPOP', queue)
  call('DEL', 'rq:job:' .. id)
  local own = nudge and begin_attempt(nudge.subject, nudge.step, nudge.attempt, at)
  if own then return {nudge.subject, nudge.step, nudge.attempt, nudge.timeout, own} end
end
