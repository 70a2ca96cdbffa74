-- Put back what was packed. ARGV: 1 JSON {now, of, proof, writes[[command, key, words]]}, from 2 on the words of each write.
-- proof: the SHA-1 of what is packed; of anything else nothing is changed, and the answer is 0.
local key, word = record_key(a.of), 2
local packed = get(key, 'packed')
if not packed or redis.sha1hex(packed) ~= a.proof then return 0 end
call('HDEL', key, 'packed') -- first, as it takes no memory: a full server lets the rest pass too
for _, write in ipairs(a.writes) do
  local command, name, words = unpack(write)
  call(command, name, unpack(ARGV, word, word + words - 1))
  word = word + words
end
call('ZADD', 'sr:unpacked', now_ms(a.now) + C.pack_after_ms, a.of)
return 1
