-- A running step says that it lives. ARGV: 1 JSON {now, subject, attempt}. Answers 0 if it lost its claim.
local key = record_key(a.subject)
local got = call('HMGET', key, 'attempt', 'begun', 'class', 'spared')
if got[1] ~= a.attempt or got[2] ~= a.attempt or not got[3] then return 0 end
if got[4] then call('HDEL', key, 'spared') end
call('ZADD', 'sr:due:' .. got[3], now_ms(a.now) + C.lease_ms, a.subject)
return 1
