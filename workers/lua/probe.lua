-- Write something: a full server or a replica answers a PING happily.
call('SET', 'sr:probe', 1, 'EX', 60)
return 1
