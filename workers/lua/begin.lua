-- Claim one attempt of a step for this run. ARGV: 1 JSON {now, subject, step, attempt}.
-- Answers the record, the job's for a render, the time, and how many requests of the account wait; nothing if the attempt
-- is over or was begun by another run.
local at = now_ms(a.now)
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'state', 'ended')
if got[1] ~= a.attempt or got[2] == a.attempt or got[4] == a.attempt or not got[3] then return false end
if step_of(a.subject, got[3]) ~= a.step then return false end
local class = class_of(a.subject, got[3])
claim_attempt(a.subject, a.attempt, class, at)
local job = {}
if is_render(a.subject) then job = call('HGETALL', 'sr:job:' .. job_of(a.subject)) end
return {call('HGETALL', key), job, string.format('%.0f', at), waiting(line_of(a.subject, class), at)}
