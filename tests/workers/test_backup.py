"""A backup is whole while the service runs, and what is put back goes on as if nothing had happened."""

import fcntl
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from receiver.cli import cli
from tests.workers.ledgers import dumps
from tests.workers.test_earlier_ledgers import FILES, succeed
from tests.workers.test_ledger_machine import (
    Books,
    check_busy,
    check_deliveries,
    check_due,
    check_indexes,
    check_jobs,
    check_keys,
    check_packed,
)
from workers import keys
from workers.artifacts import Artifacts
from workers.backup import Backup
from workers.backupfile import VERSION, Part, written
from workers.drain import Drain
from workers.errors import Conflict, InvalidInput
from workers.identifiers import JobSubject, parse_subject
from workers.ledger import Ledger
from workers.outbox import EVENTS, Outbox
from workers.paths import artifact_path
from workers.presence import Presence, this_process
from workers.proof import Proof
from workers.records import Callback
from workers.restore import Restore
from workers.restoremark import RestoreMark
from workers.spool import Spool


class Place:
    """Where a backup is made, or put back: a Redis, a spool, a folder of files."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.folder = folder
        self.spool = Spool(folder / "spool" / "callbacks.sqlite", max_bytes=1 << 20)
        self.artifacts = Artifacts.open(f"file://{folder}/artifacts")
        self.mark = RestoreMark(redis, folder)

    def backup(self, path: Path, *, with_files: bool = False) -> None:
        root = self.artifacts.local_root()
        Backup(self.redis, self.spool, files=root, facts={}).write(path, with_files=with_files)

    def restore(self, path: Path, *, replace: bool = False) -> Proof:
        return Restore(self.redis, self.spool, self.artifacts, path, self.mark).run(replace=replace)


@pytest.fixture
def here(redis: Redis, tmp_path: Path) -> Place:
    return Place(redis, tmp_path / "here")


@pytest.fixture
def there(redis_url: str, tmp_path: Path) -> Iterator[Place]:
    """Another database, empty."""
    with closing(Redis.from_url(redis_url, db=1)) as redis:
        yield Place(redis, tmp_path / "there")


def contents(redis: Redis) -> list[dumps.Command]:
    """All but nudges, whose turn targets have, and an index that earlier versions had."""
    left_out = ("rq:", keys.TARGETS, "sr:replicated")
    return [one for one in dumps.dump(redis) if not one[1].startswith(left_out) and one[1] != "sr:jobs"]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_what_is_put_back_is_what_was_there(file, here, there, tmp_path):
    dumps.restore(here.redis, file)
    here.backup(tmp_path / "backup")
    proof = there.restore(tmp_path / "backup")
    assert proof.holds
    assert {row.what: row.here for row in proof.rows}["jobs"] > 10
    assert contents(there.redis) == contents(here.redis)
    there.backup(tmp_path / "again")
    here.redis.set("sr:left-over", 1)
    here.restore(tmp_path / "again", replace=True)
    assert contents(here.redis) == contents(there.redis)


@contextmanager
def busy_ledger(redis: Redis) -> Iterator[threading.Event]:
    """Jobs come, are called about, are worked on, told of, packed and erased until the block ends. Yields an event that
    is set when there are many."""
    many, stop, failed = threading.Event(), threading.Event(), list[BaseException]()

    def work() -> None:
        ahead = itertools.count(step=7_000)
        outbox = Outbox({"": "target"}, frozenset(EVENTS))
        ledger = Ledger(redis, now_ms=lambda: round(time.time() * 1000) + next(ahead), outbox=outbox)
        for n in itertools.count():
            if stop.is_set():
                return
            ref = f"{n:022d}"
            ledger.open_ref(ref, state="open", fields={"metadata": '{"n": 1}'}, due_ms=None)
            if n % 3:
                ledger.accept(ref=ref, job_id="", receipt=f"a{n}", digest=f"a{n}", meta={}, body=b"\xff{}")
            do_some(ledger, redis)
            if n % 5:
                ledger.link(ref, f"job_{n}", first_ms=600_000, by="watch")
                ledger.accept(ref="", job_id=f"job_{n}", receipt=f"b{n}", digest=f"b{n}", meta={}, body=b"{}")
            do_some(ledger, redis)
            ledger.pack_one()
            if n % 4 == 0 and n > 33:
                ledger.erase(JobSubject(f"job_{n - 33}"))
            if n == 50:
                many.set()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            failed.append(error)
            many.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield many
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


def do_some(ledger: Ledger, redis: Redis) -> None:
    for line in list(redis.scan_iter("sr:due:*")):
        for name in redis.zrange(line, 0, 1):
            subject = parse_subject(name.decode())
            state = redis.hget(keys.record(subject), "state")
            if not name.startswith(b"ref:") and redis.hget(keys.record(subject), "begun") is None and state:
                succeed(ledger, subject)


def test_each_job_is_whole_in_a_backup_that_is_made_under_load(redis_url, here, there, tmp_path):
    with closing(Redis.from_url(redis_url)) as other, busy_ledger(other) as many:
        assert many.wait(120)
        for n in range(3):
            here.backup(tmp_path / f"backup-{n}")
    for n in range(3):
        proof = there.restore(tmp_path / f"backup-{n}", replace=True)
        assert proof.holds, proof
        assert proof.compared > 30
        books = Books.read(there.redis)
        for check in (check_due, check_deliveries, check_busy, check_jobs, check_indexes, check_packed, check_keys):
            check(books)


def test_nothing_that_was_there_at_the_beginning_is_missing(redis_url, here, there, tmp_path):
    with closing(Redis.from_url(redis_url)) as other, busy_ledger(other) as many:
        assert many.wait(120)
        before = {key for key in here.redis.scan_iter("sr:*") if key.startswith((b"sr:job:", b"sr:ref:"))}
        here.backup(tmp_path / "backup")
        after = {key for key in before if here.redis.exists(key)}
    there.restore(tmp_path / "backup")
    assert [key for key in after if not there.redis.exists(key)] == []


def test_what_is_erased_meanwhile_is_not_put_back(here, there, tmp_path):
    ledger = Ledger(here.redis)
    for job in ("job_1", "job_2"):
        ledger.accept(ref="", job_id=job, receipt=job, digest=job, meta={}, body=b"{}")

    def parts() -> Iterator[Part]:
        for part in Backup(here.redis, here.spool, files=None, facts={}).parts(Counter(), with_files=False):
            yield part
            if part[:2] == ["copy", "job_1"]:
                ledger.erase(JobSubject("job_1"))

    (tmp_path / "backup").write_bytes(b"".join(written(parts())))
    assert there.restore(tmp_path / "backup").holds
    assert there.redis.exists("sr:job:job_2")
    assert not [key for key in there.redis.keys("*") if b"job_1" in key]
    assert {fields[b"subject"] for _, fields in there.redis.xrange(keys.EVENTS)} == {b"job_2"}


@pytest.fixture(scope="module")
def small(valkey_server, tmp_path_factory) -> bytes:
    """The bytes of a backup."""
    folder = tmp_path_factory.mktemp("small")
    with closing(Redis.from_url(valkey_server.url, db=2)) as redis:
        redis.flushdb()
        place = Place(redis, folder / "here")
        ledger = Ledger(redis)
        ledger.accept(ref="", job_id="job_1", receipt="r1", digest="d1", meta={}, body=b"\x00\xff{}")
        place.spool.keep(Callback(receipt="r2", ref="", job_id="job_2", meta={"from": "192.0.2.1"}, body=b"\xff"))
        place.artifacts.put(artifact_path("jobs/job_1/result.json"), b"{}")
        place.backup(folder / "backup", with_files=True)
        place.spool.close()
    return (folder / "backup").read_bytes()


def refused(place: Place, path: Path, spoilt: bytes) -> bool:
    """Whether it is refused in our own words, and nothing was written."""
    path.write_bytes(spoilt)
    with pytest.raises(InvalidInput):
        place.restore(path)
    return not place.redis.dbsize() and not place.spool.path.exists() and not place.artifacts.list_job("job_1")


@given(st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_that_is_another_one_is_noticed(small, there, tmp_path, data):
    at = data.draw(st.integers(0, len(small) - 1))
    spoilt = bytearray(small)
    spoilt[at] ^= data.draw(st.integers(1, 255))
    assert refused(there, tmp_path / "spoilt", bytes(spoilt))


@given(st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_off_or_goes_on_is_refused(small, there, tmp_path, data):
    cut = data.draw(st.integers(0, len(small) - 1))
    more = data.draw(st.binary(min_size=1, max_size=40))
    assert refused(there, tmp_path / "spoilt", small[:cut])
    assert refused(there, tmp_path / "spoilt", small + more)


def test_a_newer_version_is_refused_by_its_number(small, there, tmp_path):
    newer = small.replace(b"version 1\n", b"version %d\n" % (VERSION + 1), 1)[:-32]
    (tmp_path / "newer").write_bytes(newer + hashlib.sha256(newer).digest())
    with pytest.raises(InvalidInput, match=f"version {VERSION + 1}, this one reads up to {VERSION}"):
        there.restore(tmp_path / "newer")


def test_files_come_along_and_so_does_what_waits_in_the_spool(small, there, tmp_path):
    (tmp_path / "backup").write_bytes(small)
    proof = there.restore(tmp_path / "backup")
    assert proof.holds
    assert [(row.what, row.here) for row in proof.rows[-2:]] == [("in the spool", 1), ("files", 1)]
    assert there.artifacts.get(artifact_path("jobs/job_1/result.json")) == b"{}"
    (waiting,) = there.spool.oldest(9)
    assert (waiting.receipt, waiting.job_id, waiting.body) == ("r2", "job_2", b"\xff")


def test_a_file_that_is_listed_and_not_here_is_told(here, there, tmp_path):
    here.artifacts.put(artifact_path("jobs/job_1/renders/1.mp4"), b"video")
    here.backup(tmp_path / "backup")
    proof = there.restore(tmp_path / "backup")
    assert not proof.holds
    assert proof.ledger_holds


def test_a_ledger_that_is_there_is_not_written_over_unless_it_is_asked_for(small, there, tmp_path):
    (tmp_path / "backup").write_bytes(small)
    Ledger(there.redis).accept(ref="", job_id="job_9", receipt="r9", digest="d9", meta={}, body=b"{}")
    with pytest.raises(Conflict, match="--replace"):
        there.restore(tmp_path / "backup")
    assert there.redis.exists("sr:job:job_9")
    assert there.restore(tmp_path / "backup", replace=True).holds
    assert not there.redis.exists("sr:job:job_9")


def test_nothing_is_put_back_under_a_running_service(small, there, tmp_path):
    (tmp_path / "backup").write_bytes(small)
    Presence(there.redis).tell(this_process("clock"))
    with pytest.raises(Conflict, match="stop the service first"):
        there.restore(tmp_path / "backup", replace=True)


def test_a_backup_that_is_killed_leaves_what_was_there_under_its_name(redis_url, here, tmp_path, eventually):
    """Its owner alone may read it, as well."""
    path = tmp_path / "backups" / "backup"
    here.artifacts.put(artifact_path("jobs/job_1/result.json"), b"{}")
    here.backup(path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    pipe = here.folder / "artifacts" / "jobs" / "job_1" / "renders"
    pipe.mkdir()
    os.mkfifo(pipe / "1.mp4")  # who reads it waits, with the file half written
    env = {**os.environ, "REDIS_URL": redis_url, "DATA_DIR": str(here.folder)}
    command = [sys.executable, "-m", "receiver", "backup", str(path)]
    with subprocess.Popen(command, env=env, start_new_session=True) as process:  # noqa: S603 - our own
        staged = eventually(lambda: list(path.parent.glob(".backup.*")), timeout=60)
        assert staged[0].stat().st_mode & 0o777 == 0o600
        os.killpg(process.pid, signal.SIGKILL)
    assert path.read_bytes() == before
    (pipe / "1.mp4").unlink()
    here.backup(path)
    assert [file.name for file in path.parent.iterdir()] == ["backup"]


@pytest.fixture
def cut_off(redis_url, here, tmp_path, eventually) -> Path:
    """A backup whose restore was killed when the keys of nobody in particular were back, and no job yet."""
    path = tmp_path / "backup"
    ledger = Ledger(here.redis)
    ledger.accept(ref="", job_id="job_1", receipt="r1", digest="d1", meta={}, body=b"{}")
    here.spool.keep(Callback(receipt="r2", ref="", job_id="job_2", meta={}, body=b"{}"))
    parts = list(Backup(here.redis, here.spool, files=None, facts={}).parts(Counter(), with_files=False))
    parts.sort(key=lambda part: part[0] == "spooled")  # last, to have it wait for the spool after all others
    path.write_bytes(b"".join(written(parts)))
    env = {**os.environ, "REDIS_URL": redis_url, "DATA_DIR": str(here.folder)}
    command = [sys.executable, "-m", "receiver", "restore", str(path), "--replace"]
    with here.spool.path.with_suffix(".lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, env=env, start_new_session=True) as process:  # noqa: S603 - our own
            eventually(lambda: not here.redis.exists("sr:job:job_1") and here.redis.exists(keys.COUNTS), timeout=60)
            os.killpg(process.pid, signal.SIGKILL)
    return path


def test_a_restore_that_was_killed_is_told_of_by_whatever_starts(cut_off, redis_url, here, tmp_path):
    def run(*words: str) -> str:
        env = {"REDIS_URL": redis_url, "DATA_DIR": str(here.folder), "SWIFTIA_API_KEY": "sandbox-key"}
        done = CliRunner().invoke(cli, list(words), obj=env, catch_exceptions=False)
        assert done.exit_code == 1, done.output
        return done.output

    cause, fix = f"a restore of {cut_off} was cut off", "swiftia-receiver restore --replace FILE"
    for words in (["up"], ["web"], ["clock"], ["clock", "--watched"], ["worker"], ["worker", "--lane", "files"]):
        assert cause in (told := run(*words))
        assert fix in told
    assert cause in (told := run("restore", str(cut_off)))
    assert fix in told
    assert cause in run("backup", str(tmp_path / "of-half"))
    assert not (tmp_path / "of-half").exists()
    (finding,) = [line for line in run("check").splitlines() if cause in line]
    assert finding.startswith("bad   restore")
    assert fix in finding


def test_a_restore_that_was_killed_is_repeated(cut_off, here):
    with pytest.raises(Conflict, match="was cut off"):
        here.restore(cut_off)
    assert here.restore(cut_off, replace=True).holds
    assert here.redis.exists("sr:job:job_1")
    assert [waiting.receipt for waiting in here.spool.oldest(9)] == ["r2"]
    assert not here.redis.exists(keys.RESTORING)
    here.mark.refuse()


def test_either_half_of_the_mark_is_enough(here, there, tmp_path):
    """Redis may have been emptied since; another machine shares Redis and not the folder."""
    here.mark.set(tmp_path / "backup")
    with pytest.raises(Conflict, match="was cut off"):
        RestoreMark(here.redis, tmp_path / "elsewhere").refuse()
    with pytest.raises(Conflict, match="was cut off"):
        RestoreMark(there.redis, here.folder).refuse()
    RestoreMark(there.redis, tmp_path / "elsewhere").refuse()
    here.mark.remove()
    here.mark.refuse()


def test_a_ledger_that_is_not_what_is_in_the_backup_keeps_the_mark(here, there, tmp_path):
    Ledger(here.redis).accept(ref="", job_id="job_1", receipt="r1", digest="d1", meta={}, body=b"{}")
    parts = list(Backup(here.redis, here.spool, files=None, facts={}).parts(Counter(), with_files=False))
    (copy,) = [part for part in parts if part[0] == "copy"]
    copy[3].append(["sr:of-no-index", "job_1", "1"])  # which nobody reads back
    (tmp_path / "backup").write_bytes(b"".join(written(parts)))
    proof = there.restore(tmp_path / "backup")
    assert proof.differing == ("job_1",)
    with pytest.raises(Conflict, match="was cut off, or ended"):
        there.mark.refuse()


def test_jobs_go_on_after_a_restore(make_station, redis, tmp_path):
    station = make_station()
    place = Place(redis, tmp_path / "data")
    jobs = [station.submit(f"goes-on-{n:04}") for n in range(4)]
    station.call(jobs[0])
    station.until(lambda: station.state(jobs[0]) == "finished")
    station.call(jobs[1])
    station.until(lambda: station.state(jobs[1]) == "rendering")
    # The spool holds a callback whose job is known only from it, and from Swiftia.
    ref = station.view(jobs[2]).summary.ref
    place.spool.keep(Callback(receipt="r" * 32, ref=ref, job_id="", meta={}, body=b"{}"))
    place.backup(tmp_path / "backup")
    redis.flushall()
    for file in place.spool.path.parent.iterdir():
        file.unlink()
    place.spool.close()
    assert place.restore(tmp_path / "backup").holds
    assert station.state(jobs[0]) == "finished"
    assert Drain(station.services.intake).turn() == 1
    station.call(jobs[3])
    station.until(lambda: all(station.state(job) == "finished" for job in jobs))
    assert {count for job in jobs for count in station.started(job).values()} == {1}


@pytest.mark.parametrize("unsure", ["retry", "park"])
def test_a_render_whose_start_was_open_follows_render_when_unsure(make_station, redis, tmp_path, unsure):
    station = make_station(RENDER_WHEN_UNSURE=unsure)
    place = Place(redis, tmp_path / "data")
    job = station.submit()
    station.call(job)
    station.until(lambda: redis.zcard("sr:due:render"))
    station.clock.tick()
    _, subject, attempt = next(nudge for nudge in station.nudges() if nudge[0] == "render")
    record = station.services.ledger.begin(parse_subject(subject), "render", attempt)
    station.services.ledger.intend(record, "starting")
    place.backup(tmp_path / "backup")
    redis.flushall()
    assert place.restore(tmp_path / "backup").holds
    for due in redis.zrange("sr:due:render", 0, -1):  # whose workers are gone with the Redis of before
        station.services.ledger.lost(parse_subject(due.decode()), 1, reason="", crashed=False)
    redis.zadd("sr:due:render", dict.fromkeys(redis.zrange("sr:due:render", 0, -1), 0))
    station.until(lambda: station.settled(job))
    assert ("render.unsure" in station.events(job)) is (unsure == "retry")
    assert station.state(job) == ("finished" if unsure == "retry" else "parked")


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parent / "backups").glob("*.backup")), ids=lambda path: path.stem
)
def test_a_backup_of_each_version_that_there_was_is_put_back(file, here, there):
    """Each is of the ledger of 0.1.0, with one callback in the spool and one file."""
    assert there.restore(file).holds
    dumps.restore(here.redis, FILES[0])
    assert contents(there.redis) == contents(here.redis)
    (waiting,) = there.spool.oldest(9)
    assert (waiting.receipt, waiting.body) == ("of-version-1", b"\xff{}")
    assert there.artifacts.get(artifact_path("jobs/job_kept/result.json")) == b"{}"


def test_the_commands_move_an_installation_with_a_valkey_of_its_own(small, tmp_path):
    """The embedded server is started for it, and stopped. Another callback key is told of."""

    def run(data: str, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, list(words), obj={"DATA_DIR": str(tmp_path / data)}, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    (tmp_path / "first").write_bytes(small)
    assert "those that differ: none" in run("old", "restore", str(tmp_path / "first"))
    assert "1 jobs, 1 callbacks of the spool" in run("old", "backup", str(tmp_path / "second"), "--files")
    told = run("new", "restore", str(tmp_path / "second"))
    assert "those that differ: none" in told
    assert "No CALLBACK_KEYS of this installation" in told
    assert "--replace" in run("new", "restore", str(tmp_path / "second"), code=1)
    run("new", "restore", str(tmp_path / "second"), "--replace")
