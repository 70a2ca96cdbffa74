-- Nudge what is due in some lanes, in each the most important class first.
-- ARGV: 1 JSON {now, passes[{lane, account, most, turn}]}. All at one go: most of the time nothing is due in any of them.
-- But a look at a render goes before the start of one whose result came later: what was begun first is to end first.
-- turn 1: before that, the one that is due longest among the classes below the first that has something due.
-- Answers for each {nudged, parked, ms until something may be due, attempts found silent, ms that Redis's clock went back,
-- nudges of the account that no worker has begun}. Files are nobody's in particular: in their lane account is ''.
--
-- sr:clock holds when each lane (of each account) was passed last, and when the last gap between two passes of it ended.
local at = now_ms(a.now)

local function pass_lane(asked)
  local queue = 'rq:queue:' .. asked.lane
  local nudged, parked, silent = 0, 0, 0
  local room = math.min(asked.most, C.queue_cap - call('LLEN', queue))
  local pass = asked.lane .. scope(asked.account)
  local busy = asked.lane == C.upstream and 'sr:busy' .. scope(asked.account) or nil
  local lines = {}
  for _, class in ipairs(C.classes[asked.lane]) do lines[#lines + 1] = class .. scope(asked.account) end

  local gap_end, back = pass_of(pass, lines, at)

  local function look(subject, line, time)
    local due, key = 'sr:due:' .. line, record_key(subject)
    take_up(key)
    local state, waits = pick(key, 'state', 'nudge')
    if not state or line_of(subject, class_of(subject, state)) ~= line then
      call('ZREM', due, subject)
    elseif waits and call('LPOS', queue, waits) then
      call('ZADD', due, at + C.lease_ms, subject) -- its nudge still waits in the queue
    else
      local fate = fate_of(subject, due, time, gap_end, at)
      if fate == 'silent' or fate == 'parked' then silent = silent + 1 end
      if fate == 'parked' then parked = parked + 1 end
      if fate == 'silent' or fate == 'new' then
        dispatch(subject, state, at)
        nudged = nudged + 1
        room = room - 1
      end
    end
    put_down(key)
  end

  local function first_due(line)
    local head = call('ZRANGEBYSCORE', 'sr:due:' .. line, '-inf', at, 'WITHSCORES', 'LIMIT', 0, 1)
    return head[1], tonumber(head[2])
  end

  local function planned(render) return tonumber(get(record_key(render), 'created') or '0') end

  local function nudge_renders(starts, looks)
    local looked = 0
    while room > 0 and looked < C.queue_cap do
      local start, start_due = first_due(starts)
      if not start then break end
      local render, look_due = first_due(looks)
      if render and planned(render) < planned(start) then
        look(render, looks, look_due)
      else
        look(start, starts, start_due)
      end
      looked = looked + 1
    end
  end

  local function nudge(line)
    local looked = 0
    while room > 0 and looked < C.queue_cap do
      local found = call('ZRANGEBYSCORE', 'sr:due:' .. line, '-inf', at, 'WITHSCORES', 'LIMIT', 0, room)
      if #found == 0 then break end
      for i = 1, #found, 2 do
        looked = looked + 1
        look(found[i], line, tonumber(found[i + 1]))
      end
    end
  end

  local function overdue_below_the_first()
    local first, chosen, longest
    for _, line in ipairs(lines) do
      local head = call('ZRANGE', 'sr:due:' .. line, 0, 0, 'WITHSCORES')
      local time = tonumber(head[2] or at + 1)
      if time <= at and not first then
        first = line
      elseif time <= at and (not longest or time < longest) then
        chosen, longest = line, time
      end
    end
    return chosen
  end

  -- What is under way and overdue comes first: it has its place already, and may hold the last one.
  if busy and C.several and room > 0 then
    for _, subject in ipairs(call('ZRANGE', busy, 0, -1)) do
      local line = get(record_key(subject), 'class')
      local time = tonumber(call('ZSCORE', 'sr:due:' .. line, subject))
      if time <= at and room > 0 then look(subject, line, time) end
    end
    room = math.min(room, places(busy, at))
  end

  local chosen = asked.turn == 1 and room > 0 and overdue_below_the_first()
  if chosen then
    local rest = room - 1
    room = 1
    nudge(chosen)
    room = room + rest
  end

  local next_due = -1
  for n, line in ipairs(lines) do
    if C.classes[asked.lane][n] == 'render' then nudge_renders(line, lines[n + 1]) else nudge(line) end
    local first = call('ZRANGE', 'sr:due:' .. line, 0, 0, 'WITHSCORES')
    if first[2] then
      local wait = math.max(0, tonumber(first[2]) - at)
      if next_due < 0 or wait < next_due then next_due = wait end
    end
  end
  return {nudged, parked, math.floor(next_due), silent, back, busy and call('ZCOUNT', busy, 0, 0) or 0}
end

local answers = {}
for n, asked in ipairs(a.passes) do answers[n] = pass_lane(asked) end
return answers
