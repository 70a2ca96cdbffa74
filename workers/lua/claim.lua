-- Start an attempt and claim it at once, for a step that runs where it was asked for. ARGV: 1 JSON {now, subject}.
-- Answers the record as begin.lua does, or nothing if another attempt is under way.
local at = now_ms(a.now)
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'state')
if not got[3] or got[2] == got[1] then return false end
local class = class_of(a.subject, got[3])
if not class then return false end
claim_attempt(a.subject, call('HINCRBY', key, 'attempt', 1), class, at)
return {call('HGETALL', key), {}, string.format('%.0f', at)}
