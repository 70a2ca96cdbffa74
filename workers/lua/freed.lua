-- A job's files at Swiftia are deleted, or will not be. ARGV: 1 JSON {now, subject, event, fields{}}.
if call('ZREM', 'sr:freeing', a.subject) == 0 then return 0 end
call('HDEL', record_key(a.subject), 'freeing')
event(a.subject, now_ms(a.now), a.event, a.fields)
return 1
