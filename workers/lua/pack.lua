-- In place of all that is kept of a job stands one field of its record, and the few that it is listed and found by.
-- ARGV: 1 JSON {now, of, proof}, 2 the packed parts. Answers 0, and changes nothing, unless the parts are those of proof.
local job, key = a.of, record_key(a.of)
if not is_at_rest(job) then return 0 end
local parts = parts_of(job)
if proof_of(parts) ~= a.proof then return 0 end
for n = 1, #parts[2] do call('DEL', record_key(job .. '/' .. n)) end
for n = 1, #parts[3] do call('DEL', record_key(job .. '!' .. n)) end
for _, family in ipairs({'timeline', 'callbacks', 'seen'}) do call('DEL', 'sr:' .. family .. ':' .. job) end
local kept = {}
for _, name in ipairs(C.kept_of_packed) do
  local value = get(key, name)
  if value then
    kept[#kept + 1] = name
    kept[#kept + 1] = value
  end
end
kept[#kept + 1] = 'packed'
kept[#kept + 1] = ARGV[2]
call('DEL', key) -- so that what is left takes no more room than it needs
set(key, unpack(kept))
for i = 1, #parts[7], 2 do
  local ref = 'sr:ref:' .. parts[7][i]
  call('DEL', ref)
  set(ref, 'state', 'linked', 'job_id', job)
end
call('ZREM', 'sr:unpacked', job)
return 1
