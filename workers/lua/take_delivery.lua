-- Claim the delivery that is due, of the target that has waited longest. ARGV: 1 JSON {now, full[]}.
-- full: targets that have as many deliveries under way as they may.
-- Answers {subject, record, owner's record, now}, or {ms until something may be due, or -1}.
local at = now_ms(a.now)
local targets, lines, full = call('ZRANGE', 'sr:targets', 0, -1), {}, {}
for n, target in ipairs(targets) do lines[n] = 'deliver' .. scope(target) end
for _, target in ipairs(a.full) do full[target] = true end
local gap_end = pass_of(C.deliveries, lines, at)

local function claim(subject, target)
  local key = record_key(subject)
  claim_attempt(subject, call('HINCRBY', key, 'attempt', 1), 'deliver', at)
  call('ZADD', 'sr:targets', at, target)
  return {subject, call('HGETALL', key), call('HGETALL', record_key(job_of(subject))), string.format('%.0f', at)}
end

local next_due = -1
for n, target in ipairs(targets) do
  local due = 'sr:due:' .. lines[n]
  repeat
    local head = call('ZRANGE', due, 0, 0, 'WITHSCORES')
    local subject, time = head[1], tonumber(head[2] or '')
    local ready = subject and time <= at and not full[target]
    if ready then
      local fate = fate_of(subject, due, time, gap_end, at)
      if fate == 'silent' or fate == 'new' then return claim(subject, target) end
    elseif subject and not full[target] and (next_due < 0 or time - at < next_due) then
      next_due = time - at
    end
  until not ready
end
return {math.floor(next_due)}
