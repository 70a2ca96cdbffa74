"""The broadcast over real Redis and real sockets, without a web server."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from receiver.broadcast import Broadcast
from tests.listening import Heard, Parser
from workers.connections import web_redis
from workers.errors import Crowded, LedgerUnavailable, TemporaryError
from workers.feed import Feed
from workers.frames import BEGINNING, StreamId, read_id, write_id
from workers.ledger import Ledger
from workers.valkey import EmbeddedValkey
from workers.work import EVENTS_CAP


class Line:
    """The far end of a connection that listens."""

    def __init__(self) -> None:
        self.near, self._far = socket.socketpair()
        self.near.setblocking(False)
        self._far.settimeout(20)
        self.parser = Parser()
        self.heard: list[Heard] = []
        self.ended = False
        self._raw = b""

    def read(self) -> None:
        """Read once, waiting for something to be there."""
        data = self._far.recv(65536)
        self.ended = not data
        lines, _, self._raw = (self._raw + data).rpartition(b"\n")
        self.heard += self.parser.lines(lines.decode() + "\n") if lines else []

    def until(self, condition: Callable[[], object]) -> None:
        while not self.ended and not condition():
            self.read()
        assert condition()

    def ids(self) -> list[str]:
        return [heard.last_id for heard in self.heard if heard.event == "change"]

    def close(self) -> None:
        self._far.close()


@pytest.fixture
def line() -> Iterator[Callable[[], Line]]:
    with contextlib.ExitStack() as stack:

        def make() -> Line:
            made = Line()
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def broadcast(redis: Redis) -> Iterator[Broadcast]:
    made = Broadcast(Feed(redis), most=3)
    yield made
    made.stop()


def join(broadcast: Broadcast, line: Line, *names: str, after: StreamId | None = None) -> None:
    known = broadcast.admit()
    broadcast.join(line.near, frozenset(names) if names else None, known if after is None else after, chunked=False)


def tell(redis: Redis, count: int, subject: str = "job_1") -> list[str]:
    entry = {"subject": subject, "event": "x" * 100, "state": "fetching", "progress": "", "at": "5"}
    with redis.pipeline(transaction=False) as pipeline:
        for _ in range(count):
            pipeline.xadd("sr:events", entry, maxlen=EVENTS_CAP, approximate=True)
        return [name.decode() for name in pipeline.execute()]


def test_each_hears_what_is_meant_for_it(redis, broadcast, line):
    everything, one = line(), line()
    join(broadcast, everything)
    join(broadcast, one, "job_2")
    tell(redis, 2)
    (second,) = tell(redis, 1, "job_2/1")
    one.until(lambda: one.heard)
    everything.until(lambda: len(everything.heard) == 3)
    assert one.ids() == everything.ids()[2:] == [second]


def test_who_does_not_read_holds_up_nobody_and_hears_that_it_missed_something(redis, broadcast, line):
    slow, quick = line(), line()
    join(broadcast, slow)
    join(broadcast, quick)
    told = []
    for _ in range(16):
        told += tell(redis, 500)
        quick.until(lambda last=told[-1]: quick.ids()[-1:] == [last])
    assert quick.ids() == told
    slow.until(lambda: slow.heard and slow.heard[-1].event == "reset")
    begun = slow.ids()
    assert begun == told[: len(begun)]
    assert len(begun) < 4000
    later = tell(redis, 5)
    slow.until(lambda: slow.ids()[-1:] == later[-1:])
    assert slow.ids() == begun + later


def test_more_comes_at_once_than_is_kept(redis, broadcast, line):
    everything, one = line(), line()
    (first,) = tell(redis, 1)
    join(broadcast, everything)
    join(broadcast, one, "job_1")
    with redis.pipeline(transaction=True) as pipeline:
        for n in range(2 * EVENTS_CAP):
            entry = {"subject": "job_1", "event": "x", "state": "fetching", "progress": "", "at": n}
            pipeline.xadd("sr:events", entry, maxlen=EVENTS_CAP, approximate=True)
        pipeline.execute()
    everything.until(lambda: everything.heard)
    one.until(lambda: one.ended)
    assert [heard.event for heard in everything.heard] == [heard.event for heard in one.heard] == ["reset"]
    later = tell(redis, 1)
    everything.until(lambda: everything.ids() == later)
    assert not broadcast.holds(read_id(first))


def test_no_more_listen_than_are_taken(redis, broadcast, line):
    lines = [line() for _ in range(4)]
    for each in lines[:3]:
        join(broadcast, each)
    with pytest.raises(Crowded):
        broadcast.admit()
    broadcast.join(lines[3].near, None, BEGINNING, chunked=False)
    lines[3].until(lambda: lines[3].ended)
    tell(redis, 1)
    for each in lines[:3]:
        each.until(lambda each=each: each.heard)


def test_who_hangs_up_makes_room(broadcast, line, eventually):
    lines = [line() for _ in range(3)]
    for each in lines:
        join(broadcast, each)
    lines[1].close()
    eventually(lambda: len(broadcast) == 2)
    join(broadcast, line())


def test_an_id_that_was_never_given_out_is_not_resumed_from(redis, broadcast):
    (last,) = tell(redis, 1)
    broadcast.admit()
    milliseconds, number = map(int, last.split("-"))
    assert broadcast.holds((milliseconds, number))
    assert not broadcast.holds((milliseconds + 10**6, number))


def test_a_ref_goes_on_as_its_job(redis, broadcast, line):
    ledger, mine = Ledger(redis), line()
    ref = "r" * 22
    ledger.open_ref(ref, state="open", fields={}, due_ms=None)
    join(broadcast, mine, f"ref:{ref}")
    ledger.link(ref, "job_1", first_ms=60_000, by="watch")
    mine.until(lambda: len(mine.heard) == 2)
    tell(redis, 1, "job_1/1")
    mine.until(lambda: len(mine.heard) == 3)
    assert [write_id(change.at) for change in Feed(redis).after(BEGINNING, most=9, wait_ms=None)[0]][1:] == mine.ids()


def test_redis_goes_away_and_comes_back_and_nothing_is_lost_or_doubled(tmp_path, line):
    server, mine = EmbeddedValkey(tmp_path / "valkey"), line()
    server.start()
    redis = web_redis(server.url)
    broadcast = Broadcast(Feed(redis))
    try:
        join(broadcast, mine)
        told = tell(redis, 3)
        mine.until(lambda: mine.ids() == told)
        server.stop()
        mine.until(lambda: any("goes on" in comment for comment in mine.parser.comments))
        server = EmbeddedValkey(tmp_path / "valkey")
        server.start()
        told += tell(redis, 3)
        mine.until(lambda: mine.ids() == told)
        assert {heard.event for heard in mine.heard} == {"change"}
    finally:
        broadcast.stop()
        redis.close()
        server.stop()


def test_redis_comes_back_with_less_than_it_told(tmp_path, line):
    server, mine = EmbeddedValkey(tmp_path / "valkey"), line()
    server.start()
    redis = web_redis(server.url)
    broadcast = Broadcast(Feed(redis))
    try:
        join(broadcast, mine)
        tell(redis, 3)
        mine.until(lambda: len(mine.heard) == 3)
        server.stop()
        mine.until(lambda: mine.parser.comments)
        shutil.rmtree(tmp_path / "valkey")
        server = EmbeddedValkey(tmp_path / "valkey")
        server.start()
        mine.until(lambda: mine.heard[-1].event == "reset")
        later = tell(redis, 1)
        mine.until(lambda: mine.ids()[-1:] == later)
    finally:
        broadcast.stop()
        redis.close()
        server.stop()


def test_without_redis_nobody_is_let_in(tmp_path):
    broadcast = Broadcast(Feed(web_redis(f"unix://{tmp_path}/nothing")))
    with pytest.raises(LedgerUnavailable):
        broadcast.admit()


def test_a_stop_ends_every_answer(broadcast, line, eventually):
    lines = [line() for _ in range(3)]
    for each in lines:
        join(broadcast, each)
    stopping = True
    broadcast.stop_when(lambda: stopping)
    for each in lines:
        each.until(lambda each=each: each.ended)
    eventually(lambda: len(broadcast) == 0)
    with pytest.raises(TemporaryError):
        broadcast.admit()


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


def test_silence_is_broken_and_moves_what_is_resumed_from(redis, line, eventually):
    watch, mine = Watch(), line()
    broadcast = Broadcast(Feed(redis), now=watch.now)
    try:
        join(broadcast, mine, "job_1")
        watch.seconds = 14
        (news,) = tell(redis, 1)
        mine.until(lambda: mine.ids() == [news])
        assert mine.parser.comments == []
        (last,) = tell(redis, 1, "job_2")
        eventually(lambda: broadcast.admit() == read_id(last))
        watch.seconds = 30
        mine.until(lambda: mine.parser.last_id == last)
        assert mine.parser.comments == [" "]
    finally:
        broadcast.stop()


def test_nobody_reads_what_nobody_hears(redis, line, eventually):
    others = set(threading.enumerate())  # an application of another test may go on reading

    def reads() -> bool:
        return any(thread.name == "broadcast" for thread in set(threading.enumerate()) - others)

    watch, mine, other = Watch(), line(), line()
    broadcast = Broadcast(Feed(redis), now=watch.now)
    try:
        join(broadcast, mine)
        watch.seconds = 1000
        tell(redis, 1)
        mine.until(mine.ids)
        assert reads()
        mine.close()
        watch.seconds = 2000
        eventually(lambda: not reads())
        join(broadcast, other)
        later = tell(redis, 1)
        other.until(lambda: other.ids() == later)
    finally:
        broadcast.stop()


def test_who_listens_calmly_is_told_the_newest_once_in_a_second(redis, line):
    clock = [100.0]
    broadcast = Broadcast(Feed(redis), now=lambda: clock[0])
    calm, quick = line(), line()
    try:
        known = broadcast.admit()
        broadcast.join(calm.near, None, known, chunked=False, calm=True)
        broadcast.join(quick.near, None, known, chunked=False)
        tell(redis, 1)
        calm.until(lambda: len(calm.ids()) == 1)
        (_, newest), (other,) = tell(redis, 2), tell(redis, 1, "job_2")
        quick.until(lambda: len(quick.ids()) == 4)
        clock[0] += 1
        calm.until(lambda: calm.ids()[-1:] == [other])
        assert calm.ids()[1:] == [newest, other]
    finally:
        broadcast.stop()


def test_who_listens_calmly_hears_of_no_more_than_a_few(redis, line):
    broadcast = Broadcast(Feed(redis))
    calm = line()
    try:
        told = [tell(redis, 1, f"job_{n}")[0] for n in range(100)]
        broadcast.admit()
        broadcast.join(calm.near, None, BEGINNING, chunked=False, calm=True)
        calm.until(lambda: calm.ids()[-1:] == told[-1:])
        assert calm.ids() == told[-25:]
    finally:
        broadcast.stop()
