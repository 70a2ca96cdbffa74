-- The run of a claimed attempt has ended without an outcome, and its worker noticed.
-- ARGV: 1 JSON {now, subject, attempt, reason, crashed}. crashed 0: a stop cut it off, which says nothing against it.
-- Answers 0 if the attempt is over, or was never begun.
local at = now_ms(a.now)
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'state')
if got[1] ~= a.attempt or got[2] ~= a.attempt then return 0 end
local class = class_of(a.subject, got[3])
if not class then return 0 end
if a.crashed == 1 then
  local crashes = crashed(a.subject, a.attempt, a.reason, at)
  if crashes then
    end_attempt(key)
    set_due(a.subject, class, at + C.crash_pause_ms * crashes)
  end
else
  measure_attempt(a.subject, got[3], 'put_back', at)
  end_attempt(key)
  event(a.subject, at, 'put_back', {attempt = tonumber(a.attempt)})
  dispatch(a.subject, got[3], at)
end
return 1
