-- Note that a nudge has ended, and take the next one off the queue of its lane: both as RQ does it for a job, in one step.
-- tests/workers/test_shift.py holds what this writes against what RQ writes itself.
-- ARGV: 1 JSON {lane, worker, run, kept_s, expires_at, seconds, moment, ended, back}
--   run     what RQ is to call the next run; it may be silent for kept_s seconds, until expires_at
--   seconds, moment   the time, as RQ notes it of runs and of jobs
--   ended   {id, run} of the nudge that has ended; back 1: it has not, and goes back to where it was
-- Answers {id, field, value, ...} of the next nudge, or nothing. Without run none is taken.
local a = cjson.decode(ARGV[1])
local function call(...) return redis.call(...) end
local queue, wip, worker = 'rq:queue:' .. a.lane, 'rq:wip:' .. a.lane, 'rq:worker:' .. a.worker
local runs = worker .. ':executions'

if a.ended then
  local id, run = unpack(a.ended)
  local job, name = 'rq:job:' .. id, id .. ':' .. run
  if a.back == 1 then
    call('HSET', job, 'status', 'queued')
    call('HDEL', job, 'started_at', 'last_heartbeat', 'worker_name')
    call('LPUSH', queue, id)
    call('DEL', 'rq:execution:' .. name)
  else
    call('DEL', job, 'rq:execution:' .. name)
    if call('EXISTS', worker) == 1 then call('HINCRBY', worker, 'successful_job_count', 1) end
  end
  call('ZREM', 'rq:executions:' .. id, run)
  call('ZREM', wip, name)
  call('SREM', runs, name)
end

if not a.run or call('EXISTS', 'rq:suspended') == 1 then return false end
local id, fields
repeat
  id = call('LPOP', queue)
  if not id then return false end
  if not string.find(id, '^[%w_-]+$') then -- what is no id, RQ has to deal with
    call('LPUSH', queue, id)
    return false
  end
  fields = redis.pcall('HGETALL', 'rq:job:' .. id)
until not fields.err and #fields > 0 -- RQ passes over what is there no more, too

local job, name = 'rq:job:' .. id, id .. ':' .. a.run
call('HSET', job, 'status', 'started', 'started_at', a.moment, 'last_heartbeat', a.moment, 'worker_name', a.worker)
call('HSET', 'rq:execution:' .. name, 'id', a.run, 'job_id', id, 'created_at', a.seconds, 'last_heartbeat', a.seconds,
  'worker_name', a.worker)
call('EXPIRE', 'rq:execution:' .. name, a.kept_s)
call('ZADD', 'rq:executions:' .. id, a.expires_at + 60, a.run)
call('EXPIRE', 'rq:executions:' .. id, a.kept_s + 60)
call('ZADD', wip, a.expires_at, name)
call('SADD', runs, name)
call('EXPIRE', runs, a.kept_s + 60)
return {id, unpack(fields)}
