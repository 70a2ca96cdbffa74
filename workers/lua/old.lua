-- What ended so long ago, the first first. ARGV: 1 JSON {now, old_ms, most}. One look at the end of an index.
-- Nothing for an hour after Redis's clock has jumped, or nobody passed: a date that is wrong makes everything look old.
local CALM_MS = 3600000
local at = now_ms(a.now)
local got = call('HMGET', 'sr:clock', C.files, C.files .. ':gap')
if got[1] and math.abs(at - tonumber(got[1])) > C.gap_ms then return {} end
if got[2] and at - tonumber(got[2]) < CALM_MS then return {} end
return call('ZRANGE', 'sr:ended', '-inf', at - a.old_ms, 'BYSCORE', 'LIMIT', 0, a.most)
