"""``python -m tests.workers.ledgers.left_behind``: make ``tests/samples/earlier_<version>`` anew, for this version.

``packed.jsonl``: the ledger of ``<version>.jsonl`` an hour later, with all packed that has come to rest.
``spool.sqlite``: the callbacks of ``SPOOLED``, the last of them set aside. Only for a version that is being released:
what an earlier one has left behind is what it is.
"""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from redis import Redis

from tests.workers.ledgers import dumps
from workers.ledger import Ledger
from workers.records import Callback
from workers.spool import Spool
from workers.valkey import EmbeddedValkey

VERSION: Final = "0.1.0"
LEDGER: Final = Path(__file__).with_name(f"{VERSION}.jsonl")
SAMPLES: Final = Path(__file__).parents[2] / "samples"
_MANY: Final = 100
RESTED_MS: Final = 1_795_544_440_000 + 3_600_000  # after it was written down
SPOOLED: Final = (
    Callback(receipt="a" * 32, ref="", job_id="job_spooled", meta={"from": "192.0.2.1", "size": 3}, body=b"\x00\xff\n"),
    Callback(
        receipt="b" * 32, ref="", job_id="job_spooled", meta={"type": "application/json"}, body=b'{"n": "\xc3\xbc"}'
    ),
    Callback(receipt="c" * 32, ref="r" * 22, job_id="", meta={}, body=b""),
    Callback(receipt="d" * 32, ref="", job_id="job_aside", meta={}, body=b"{}"),
)


def write_packed(path: Path, folder: Path) -> None:
    server = EmbeddedValkey(folder / "valkey")
    server.start()
    with closing(Redis.from_url(server.url)) as redis:
        dumps.restore(redis, LEDGER)
        ledger = Ledger(redis, now_ms=lambda: RESTED_MS)
        for job in ledger.unarchived(_MANY):
            ledger.drop_bodies(job, ledger.take_bodies(job))  # as if they were files by now
        for _ in range(_MANY):
            ledger.pack_one()
        dumps.write(path, dumps.dump(redis))
    server.stop()


def write_spool(path: Path, folder: Path) -> None:
    with closing(Spool(folder / "spool" / "callbacks.sqlite", max_bytes=1 << 20)) as spool:
        for callback in SPOOLED:
            spool.keep(callback)
        spool.set_aside(SPOOLED[-1].receipt)
    shutil.copyfile(spool.path, path)  # closed, so that nothing of it is in another file


def main() -> None:
    made = SAMPLES / f"earlier_{VERSION}"
    made.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_packed(made / "packed.jsonl", Path(folder))
        write_spool(made / "spool.sqlite", Path(folder))


if __name__ == "__main__":
    main()
