-- Claim one attempt of a step for this run. ARGV: 1 JSON {now, subject, step, attempt}.
-- Answers the record, the job's for a render, the time, and for a fetch the bodies that it is to keep; nothing if the attempt
-- is over or was begun by another run.
return begin_attempt(a.subject, a.step, a.attempt, now_ms(a.now)) or false
