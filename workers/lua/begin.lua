-- Claim one attempt of a step for this run. ARGV: 1 JSON {now, subject, step, attempt}.
-- Answers the record, the job's for a render, the time, and how many requests of the account wait; nothing if the attempt
-- is over or was begun by another run.
local at = now_ms(a.now)
local key = record_key(a.subject)
local attempt, begun, state, ended = pick(key, 'attempt', 'begun', 'state', 'ended')
if attempt ~= a.attempt or begun == a.attempt or ended == a.attempt or not state then return false end
if step_of(a.subject, state) ~= a.step then return false end
local class = class_of(a.subject, state)
claim_attempt(a.subject, a.attempt, class, at)
local job = {}
if is_render(a.subject) then job = call('HGETALL', 'sr:job:' .. job_of(a.subject)) end
return {call('HGETALL', key), job, string.format('%.0f', at), waiting(line_of(a.subject, class), at)}
