"""What was restored by half is not started as if it were whole."""

import contextlib

from workers.connections import web_redis
from workers.errors import LedgerUnavailable
from workers.places import redis_url
from workers.restoremark import RestoreMark
from workers.settings import Settings


def refuse_half_restored(settings: Settings) -> None:
    """Raise ``Conflict`` where a restore was cut off.

    While Redis does not answer only DATA_DIR tells of it: the door has to open without Redis too.
    """
    with contextlib.closing(web_redis(redis_url(settings))) as redis, contextlib.suppress(LedgerUnavailable):
        RestoreMark(redis, settings.data_dir).refuse()
