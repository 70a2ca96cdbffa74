-- A person says: send it again, when its turn comes. ARGV: 1 JSON {now, subject, request_id, trace}.
-- Answers 1 if it goes out again, 0 if it is on its way already.
local at = now_ms(a.now)
local key = record_key(a.subject)
local state = get(key, 'state')
if not state or not C.delivery_settled[state] then return 0 end
set_state(a.subject, 'pending', at)
end_attempt(key)
call('HDEL', key, 'reason', 'parked_from', 'crashes', 'tries')
set(key, 'since', at)
carry(a.subject, a)
event(a.subject, at, 'delivery.retried')
local owner = job_of(a.subject)
local first = tonumber(get(record_key(owner), 'outbox') or '1')
local n = tonumber(string.match(a.subject, '!(%d+)$'))
set(record_key(owner), 'outbox', math.min(first, n))
advance(owner, at)
return 1
