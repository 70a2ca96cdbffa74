-- A person says: send it again. ARGV: 1 JSON {now, subject, request_id, trace}. Answers 1 if it goes out again, 0 if it is on its way already.
local at = now_ms(a.now)
local key = record_key(a.subject)
local state = call('HGET', key, 'state')
if not state or not C.delivery_settled[state] then return 0 end
set_state(a.subject, 'pending', at)
end_attempt(key)
call('HDEL', key, 'reason', 'parked_from', 'crashes', 'tries')
call('HSET', key, 'since', at)
carry(a.subject, a)
event(a.subject, at, 'delivery.retried')
set_due(a.subject, 'deliver', at)
return 1
