-- A process says that it is there. ARGV: 1 JSON {name, kept_ms, most}. Who has been silent for so long is forgotten.
local a = cjson.decode(ARGV[1])
local t = redis.call('TIME')
local at = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', 'sr:present', '-inf', at - a.kept_ms)
redis.call('ZADD', 'sr:present', at, a.name)
redis.call('ZREMRANGEBYRANK', 'sr:present', 0, -a.most - 1)
redis.call('PEXPIRE', 'sr:present', a.kept_ms)
return 1
