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

CLASS_OF_JOB: Final = {"waiting": "reconcile", "fetching": "fetch"}
CLASS_OF_STEP: Final = {"submit": "submit", "render": "render", "watch": "watch", "keep": "keep"}

UPSTREAM: Final = "upstream"
FILES: Final = "files"
LANES: Final = (UPSTREAM, FILES)
CLASSES: Final = {
    UPSTREAM: ("submit", "fetch", "render", "watch", "reconcile"),
    FILES: ("keep",),
}
LANE_OF_CLASS: Final = {name: lane for lane, names in CLASSES.items() for name in names}

# How long a dispatched step may be silent. A running step renews it (workers/jobs.py), so only a dead one is silent.
LEASE_S: Final = 30.0
RENEW_EVERY_S: Final = 8.0
# A step that took its worker down this often is parked: it would take down the next one too.
DEADLY_CRASHES: Final = 3
# No more nudges than this wait in a lane's RQ queue: a backlog stays in the ledger, where it is cheap and ordered.
QUEUE_CAP: Final = 100
TIMELINE_CAP: Final = 200
CALLBACKS_CAP: Final = 200
# A stopped step is ended by RQ after this many seconds, whatever it does.
STEP_TIMEOUT_S: Final = {UPSTREAM: 180, FILES: 6 * 3600}
