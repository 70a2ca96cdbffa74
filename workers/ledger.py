"""The truth about jobs, renders, submissions and callbacks, and what is due next. In Redis; the only writer of it.

Invariants, kept by every script and checked by the tests:

1. Every unfinished subject stands in exactly one line of what is due, that of its class and account (or target): a
   waiting or fetching job, an unsettled render, a submission that has no answer yet, a pending delivery. A job that is
   rendering is carried by its renders, and a delivery behind another one of its job by that one.
2. Nothing else is due: no settled subject, no erased one, none without a record.
3. Only the moves of ``workers/states.py`` happen.
4. Every write is one script: it happened whole or not at all, and repeating it changes nothing more.
5. An attempt number is given out once and claimed once. What an older attempt, or a second run of the same one, reports
   is not written.
6. A job is settled at the moment when the last of its renders is.
7. A claimed attempt that reports nothing comes back: when its worker says that it is lost, else when its lease lapses.
   What does so ``DEADLY_CRASHES`` times in a row is parked.
8. A lease lapses only while it could be renewed. After a gap, in which Redis was away or its clock jumped ahead, each
   attempt has one more, and the next only after it has said that it lives.
9. When Redis's clock goes back, what is due goes back with it: nothing waits longer than it was told to, and what is
   under way has no less time than before.
10. What is under way is known for each account, as the records say it: whatever ends an attempt frees its place.
11. What is announced is written down by the script that makes it so, once, and goes out in that order for each job.
12. What is packed is a job that has ended and come to rest. Unpacked it is what it was before, to the byte; nothing is
    written about it while it is packed.

Times are milliseconds of Redis's own clock, so machines whose clocks differ agree; tests may give their own.
"""

from workers.arrivals import Arrivals
from workers.claims import Claims
from workers.turns import Turns
from workers.upkeep import Upkeep


class Ledger(Arrivals, Claims, Turns, Upkeep):
    """All of it. What it is made with: ``workers/scribe.py``."""
