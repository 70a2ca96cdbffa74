-- Forget bodies that are kept as artifacts now. ARGV: 1 JSON {now, subject, receipts[]}. Answers whether what they
-- are of is still there.
forget_bodies(a.subject, a.receipts)
return call('EXISTS', record_key(a.subject))
