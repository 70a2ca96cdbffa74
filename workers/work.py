"""Which step a state calls for, in which class it waits, and which lane of workers does it.

A *class* is a line of what is due, in the order of importance when requests are scarce. A *lane* is an RQ queue with
worker processes of its own: what spends requests must not stand behind long downloads, nor the other way round.
"""

from typing import Final

STEP_OF_JOB: Final = {"waiting": "fetch", "fetching": "fetch"}
STEP_OF_RENDER: Final = {
    "planned": "render",
    "starting": "render",
    "queued": "watch",
    "rendering": "watch",
    "keeping": "keep",
}
STEP_OF_REF: Final = {"open": "submit", "queued": "submit", "submitting": "submit"}
STEP_OF_DELIVERY: Final = {"pending": "deliver"}

CLASS_OF_JOB: Final = {"waiting": "reconcile", "fetching": "fetch"}
CLASS_OF_STEP: Final = {
    "submit": "submit",
    "render": "render",
    "watch": "watch",
    "keep": "keep",
    "deliver": "deliver",
}

UPSTREAM: Final = "upstream"
FILES: Final = "files"
LANES: Final = (UPSTREAM, FILES)
# What waits for other people's servers most of the time: threads take it from the ledger, without RQ (courier.py).
DELIVERIES: Final = "deliveries"
CLASSES: Final = {
    UPSTREAM: ("submit", "fetch", "render", "watch", "reconcile"),
    FILES: ("keep",),
}
LANE_OF_CLASS: Final = {name: lane for lane, names in CLASSES.items() for name in names} | {"deliver": DELIVERIES}

# How long a dispatched step may be silent. A running step renews it (workers/attempts.py): only a dead one is silent.
LEASE_S: Final = 30.0
RENEW_EVERY_S: Final = 8.0
# A step that took its worker down this often is parked: it would take down the next one too.
DEADLY_CRASHES: Final = 3
# After a crash that was noticed the next attempt waits so long, after the second in a row twice as long.
CRASH_PAUSE_S: Final = 5.0
# A lane is passed several times a second. After a longer time than this nobody may have been able to renew a lease.
GAP_S: Final = 5.0
# So much Redis's clock may go back before what is due moves back with it.
WENT_BACK_S: Final = 1.0
# Where there are several accounts, one that was answered well within so many seconds may have more than one worker.
FINE_S: Final = 5.0
# No more nudges than this wait in a lane's RQ queue: a backlog stays in the ledger, where it is cheap and ordered.
QUEUE_CAP: Final = 100
TIMELINE_CAP: Final = 200
CALLBACKS_CAP: Final = 200
# So many of the newest changes, and a few more, can be listened to after the fact.
EVENTS_CAP: Final = 5000
# A job is packed so long after it has ended, or was last unpacked: it may not have come to rest before.
PACK_AFTER_S: Final = 60.0
# Until one that has not, as deliveries of it are on their way, is looked at again.
RESTLESS_S: Final = 600.0
# A handler that does not come back for so long takes its courier down.
HANDLER_TIMEOUT_S: Final = 300.0
# A step for whose files there is no room looks again after so long: the clock sees a disk that has room again at once.
FULL_PAUSE_S: Final = 30.0
# A stopped step is ended by RQ after this many seconds, whatever it does.
STEP_TIMEOUT_S: Final = {UPSTREAM: 180, FILES: 6 * 3600}
