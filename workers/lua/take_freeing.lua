-- The job whose files at Swiftia are to be deleted next, because all of it is kept here. It comes again after again_ms
-- unless freed.lua says that it need not. ARGV: 1 JSON {now, again_ms}. Answers {job, account, tries}, or nothing.
local at = now_ms(a.now)
for _, job in ipairs(call('ZRANGE', 'sr:freeing', '-inf', at, 'BYSCORE', 'LIMIT', 0, 20)) do
  local key = record_key(job)
  local got = call('HMGET', key, 'state', 'account')
  if got[1] == 'finished' then
    call('ZADD', 'sr:freeing', at + a.again_ms, job)
    return {job, got[2] or '', call('HINCRBY', key, 'freeing', 1)}
  end
  call('ZREM', 'sr:freeing', job)
end
return false
