-- Keep a callback that names no job, the newest few. ARGV: 1 JSON {now, meta{}}, 2 the raw body.
local a = cjson.decode(ARGV[1])
a.meta.at = now_ms(a.now)
call('LPUSH', 'sr:unidentified', cjson.encode(a.meta) .. '\n' .. ARGV[2])
call('LTRIM', 'sr:unidentified', 0, C.callbacks_cap - 1)
return 1
