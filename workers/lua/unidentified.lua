-- Keep a callback that names no job, the newest few. ARGV: 1 JSON {now, meta{}}, 2 the raw body.
-- The same receipt is the same callback: its answer was lost, or it waited in the spool and is handed on again.
local receipts = 'sr:unidentified:receipts'
if a.meta.receipt and call('LPOS', receipts, a.meta.receipt) then return 0 end
a.meta.at = now_ms(a.now)
call('LPUSH', 'sr:unidentified', cjson.encode(a.meta) .. '\n' .. ARGV[2])
call('LTRIM', 'sr:unidentified', 0, C.callbacks_cap - 1)
if a.meta.receipt then
  call('LPUSH', receipts, a.meta.receipt)
  call('LTRIM', receipts, 0, C.callbacks_cap - 1)
end
return 1
