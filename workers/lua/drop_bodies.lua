-- Forget bodies that are kept as artifacts now. ARGV: 1 JSON {now, subject, receipts[]}.
local bodies = 'sr:bodies:' .. a.subject
for _, receipt in ipairs(a.receipts) do call('HDEL', bodies, receipt) end
-- One that came while the others were written waits for the next time.
if call('EXISTS', bodies) == 0 then call('ZREM', 'sr:unarchived', a.subject) end
return 1
