"""The spool on a real disk: order, the cap, damage, and processes that are killed while they write."""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import SpoolUnavailable
from workers.records import Callback
from workers.spool import Depth, Spool

ROOT = Path(__file__).parents[2]
MANY = 1 << 24


def callback(name: str = "rc-1", body: bytes = b"{}", **changes: str) -> Callback:
    return Callback(
        **{"receipt": name, "ref": "", "job_id": "job_1", "meta": {"size": len(body)}, "body": body} | changes
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "callbacks.sqlite"


@pytest.fixture
def spool(path: Path):
    with contextlib.closing(Spool(path, max_bytes=MANY)) as made:
        yield made


def receipts(spool: Spool) -> list[str]:
    return [kept.receipt for kept in spool.oldest(100_000)]


def test_what_is_kept_comes_back_in_order(spool):
    given_ones = [callback(f"rc-{n}", b"%d" % n, ref="r" * 22) for n in (3, 1, 2)]
    for one in given_ones:
        spool.keep(one)
    assert spool.oldest(10) == given_ones
    assert spool.oldest(2) == given_ones[:2]
    assert spool.waits()
    spool.remove(["rc-3", "rc-1", "rc-2", "rc-never"])
    assert not spool.waits()
    assert spool.depth() == Depth(0, 0)


def test_the_same_receipt_is_kept_once(spool):
    spool.keep(callback())
    before = spool.depth()
    spool.keep(callback(body=b"other"))
    assert spool.depth() == before
    assert spool.oldest(2) == [callback()]


JSON = st.dictionaries(st.text(max_size=9), st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=30)), max_size=4)


@given(body=st.binary(max_size=500), meta=JSON)
@settings(max_examples=40, deadline=None)
def test_bodies_and_notes_come_back_as_they_were(tmp_path_factory, body, meta):
    path = tmp_path_factory.mktemp("any") / "callbacks.sqlite"
    with contextlib.closing(Spool(path, max_bytes=MANY)) as spool:
        one = callback(body=body, meta={**meta, "agent": "\ud800 \x00"})
        spool.keep(one)
        assert spool.oldest(1) == [one]


def test_it_is_ours_alone_to_read(spool, path):
    spool.keep(callback())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [path.parent, *path.parent.iterdir()]}
    assert modes["spool"] == 0o700
    assert {mode for name, mode in modes.items() if name != "spool"} == {0o600}


def test_looking_makes_nothing_up(spool):
    assert (spool.waits(), spool.oldest(1), spool.depth()) == (False, [], Depth(0, 0))


def test_it_is_full_at_the_stated_bytes_and_keeps_nothing_of_what_is_too_much(path):
    with contextlib.closing(Spool(path, max_bytes=10_000)) as spool:
        kept = 0
        while spool.depth().bytes < 10_000 - 1300:
            spool.keep(callback(f"rc-{kept}", b"x" * 1000))
            kept += 1
        with pytest.raises(SpoolUnavailable, match="SPOOL_MAX_BYTES"):
            spool.keep(callback("rc-over", b"x" * 1000))
        depth = spool.depth()
        assert (depth.count, len(receipts(spool))) == (kept, kept)
        assert 10_000 - 1500 < depth.bytes <= 10_000
        spool.check(10)
        with pytest.raises(SpoolUnavailable):
            spool.check(1000)
        # There is room again when something has left.
        spool.remove(["rc-0"])
        spool.keep(callback("rc-more", b"x" * 1000))


def test_what_is_set_aside_lets_the_others_pass(spool):
    spool.keep(callback("rc-1"))
    spool.keep(callback("rc-2"))
    spool.set_aside("rc-1")
    assert receipts(spool) == ["rc-2"]
    spool.remove(["rc-2"])
    assert not spool.waits()
    assert (spool.depth().count, spool.depth().aside) == (1, 1)
    spool.take_back()
    assert receipts(spool) == ["rc-1"]


# Disks that fail


def test_without_a_disk_it_says_so(path):
    path.parent.parent.mkdir(exist_ok=True)
    path.parent.write_text("a file where a folder must be")
    spool = Spool(path, max_bytes=MANY)
    for use in (spool.waits, spool.depth, lambda: spool.keep(callback()), lambda: spool.check(1)):
        with pytest.raises(SpoolUnavailable):
            use()
    path.parent.unlink()
    spool.keep(callback())
    spool.close()


FILLER = """
import resource, sys
from pathlib import Path
from workers.errors import SpoolUnavailable
from workers.records import Callback
from workers.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 30)
spool.waits()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    for n in range(1000):
        spool.keep(Callback(receipt=f"rc-{n}", ref="", job_id="j", meta={}, body=b"x" * 5000))
        print(f"rc-{n}", flush=True)
except SpoolUnavailable as error:
    print("refused", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.keep(Callback(receipt="rc-after", ref="", job_id="j", meta={}, body=b"x" * 5000))
print("rc-after")
"""


def script(text: str, *words: object, seconds: float = 60) -> str:
    command = [sys.executable, "-c", text, *map(str, words)]
    done = subprocess.run(  # noqa: S603 - a script of this file
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_disk_that_takes_no_more_is_told_and_what_was_kept_stays(path, spool):
    *kept, refused, after = script(FILLER, path).splitlines()
    assert refused.startswith("refused")
    assert len(kept) > 5
    assert after == "rc-after"
    assert receipts(spool) == [*kept, "rc-after"]
    assert spool.depth().count == len(kept) + 1


# Damage


def damaged(path: Path) -> list[Path]:
    return sorted(file for file in path.parent.glob("*.damaged-*") if not file.name.endswith(("-wal", "-shm")))


@pytest.mark.parametrize("garbage", [b"no database at all, whatever it is" * 50, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_moved_aside(path, garbage):
    path.parent.mkdir()
    path.write_bytes(garbage)
    with contextlib.closing(Spool(path, max_bytes=MANY)) as spool:
        spool.keep(callback())
        assert receipts(spool) == ["rc-1"]
    (aside,) = damaged(path)
    assert aside.read_bytes() == garbage


def test_a_database_of_another_shape_is_moved_aside(path):
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE callbacks (something INTEGER)")
    with contextlib.closing(Spool(path, max_bytes=MANY)) as spool:
        spool.keep(callback())
        assert receipts(spool) == ["rc-1"]
    assert len(damaged(path)) == 1


def test_what_can_be_read_of_a_damaged_file_is_saved(path):
    with contextlib.closing(Spool(path, max_bytes=MANY)) as spool:
        for n in range(200):
            spool.keep(callback(f"rc-{n:03}", b"x" * 3000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size * 2 // 3)
        file.write(b"\xa5" * (size - size * 2 // 3))
    with contextlib.closing(Spool(path, max_bytes=MANY)) as spool:
        spool.keep(callback("rc-new"))
        *saved, last = receipts(spool)
        depth = spool.depth()
    assert last == "rc-new"
    assert saved == [f"rc-{n:03}" for n in range(len(saved))]
    assert len(saved) > 30
    assert depth.count == len(saved) + 1
    assert len(damaged(path)) == 1


def test_a_file_that_another_process_moved_or_removed_is_made_anew(path, spool):
    spool.keep(callback("rc-1"))
    shutil.rmtree(path.parent)
    spool.keep(callback("rc-2"))
    with contextlib.closing(Spool(path, max_bytes=MANY)) as other:
        assert receipts(other) == ["rc-2"]


def test_two_that_meet_the_same_damage_lose_nothing_of_each_other(path):
    spools = [Spool(path, max_bytes=MANY) for _ in range(2)]
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    threads = [
        threading.Thread(target=lambda spool=spool, n=n: [spool.keep(callback(f"rc-{n}-{i}")) for i in range(20)])
        for n, spool in enumerate(spools)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipts(spools[0])) == sorted(f"rc-{n}-{i}" for n in range(2) for i in range(20))
    assert len(damaged(path)) == 1
    for spool in spools:
        spool.close()


# Processes and threads

WRITERS = """
import os, random, signal, sys, time
from pathlib import Path
from workers.records import Callback
from workers.spool import Spool
path, told, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
spool = Spool(path, max_bytes=1 << 30)
spool.waits()  # so that the children inherit an open file
def write(name):
    out = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    n = 0
    while True:
        receipt = f"rc-{name}-{n}"
        spool.keep(Callback(receipt=receipt, ref="", job_id="j", meta={}, body=receipt.encode() * 50))
        os.write(out, receipt.encode() + b"\\n")
        n += 1
for round in range(rounds):
    children = []
    for which in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                write(f"{round}-{which}")
            finally:
                os._exit(1)
        children.append(pid)
    time.sleep(random.uniform(0.0, 0.12))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "a writer failed"
    spool.keep(Callback(receipt=f"rc-parent-{round}", ref="", job_id="j", meta={}, body=b""))
"""


def test_writers_that_are_killed_lose_nothing_that_was_acknowledged(path, tmp_path, spool):
    told = tmp_path / "told"
    told.touch()
    script(WRITERS, path, told, 25)
    acknowledged = told.read_text().split()
    found = spool.oldest(100_000)
    kept = [one.receipt for one in found]
    assert len(acknowledged) > 50
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept)) == spool.depth().count
    # At most the one that each writer had in hand was kept without having been told.
    assert len(kept) <= len(acknowledged) + 2 * 25 + 25
    assert all(one.body == one.receipt.encode() * 50 for one in found if "parent" not in one.receipt)
    assert not damaged(path)
    for writer in {name.rpartition("-")[0] for name in acknowledged}:
        own = [name for name in kept if name.rpartition("-")[0] == writer]
        assert own == [f"{writer}-{n}" for n in range(len(own))]


def test_many_threads_share_it(path, spool):
    other = Spool(path, max_bytes=MANY)

    def keep(name: int) -> None:
        for n in range(10):
            (spool if n % 2 else other).keep(callback(f"rc-{name}-{n}"))

    threads = [threading.Thread(target=keep, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert spool.depth().count == len(set(receipts(spool))) == 80


def test_notes_that_rotted_do_not_hold_up_the_rest(path, spool):
    spool.keep(callback("rc-1"))
    spool.keep(callback("rc-2"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE callbacks SET meta = ? WHERE receipt = 'rc-1'", (json.dumps({})[:1],))
    assert [(one.receipt, bool(one.meta)) for one in spool.oldest(2)] == [("rc-1", False), ("rc-2", True)]
