-- Histograms and counters, all in the hash MEASURES (workers/measures.py reads it). "<family>[|<label>]…|<n>" counts what
-- fell into the n-th bucket and into no smaller one, "…|sum" adds it up; a counter is "<family>[|<label>]…" alone.
-- bounds_of gives the upper bounds of a family's buckets.
local function count(what, by)
  redis.call('HINCRBY', MEASURES, what, by and string.format('%.0f', by) or 1)
end

local function observe(family, labels, value)
  if not (value >= 0) then value = 0 end -- a clock went back
  local bounds, n = bounds_of(family), 1
  while bounds[n] and value > bounds[n] do n = n + 1 end
  local what = labels == '' and family or family .. '|' .. labels
  count(what .. '|' .. n)
  count(what .. '|sum', value)
end
