"""The client that keeps a connection for scripts: what is said over it, and what happens when something is wrong."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError, ResponseError

from workers.connections import worker_redis
from workers.steady import Later, SteadyRedis
from workers.valkey import EmbeddedValkey


class Ended(BaseException):
    """As a step is ended: on any line."""


@pytest.fixture
def client(redis_url: str) -> Iterator[SteadyRedis]:
    with contextlib.closing(worker_redis(redis_url)) as made:
        assert isinstance(made, SteadyRedis)
        yield made


def loaded(client: redis.Redis, script: str) -> Any:
    return client.script_load(script)


def connections(client: redis.Redis) -> set[str]:
    return {one["id"] for one in client.client_list()}


def test_scripts_of_a_thread_go_over_one_connection(client: SteadyRedis) -> None:
    who = client.register_script("return ARGV[1]")
    before = connections(client)
    assert [who(args=[str(n)]) for n in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert len(connections(client) - before) == 1
    done: list[bytes] = []
    thread = threading.Thread(target=lambda: done.append(who(args=["other"])))
    thread.start()
    thread.join()
    assert done == [b"other"]


def test_what_the_server_refuses_is_said_and_the_connection_stays(client: SteadyRedis) -> None:
    fine, wrong = loaded(client, "return 'fine'"), loaded(client, "return redis.error_reply('WRONG it is')")
    client.evalsha(fine, 0)
    before = connections(client)
    with pytest.raises(ResponseError, match="WRONG it is"):
        client.evalsha(wrong, 0)
    with pytest.raises(NoScriptError):
        client.evalsha("0" * 40, 0)
    assert client.evalsha(fine, 0) == b"fine"
    assert connections(client) == before


def test_a_server_that_takes_no_writes_any_more_is_not_stayed_with(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with (
        contextlib.closing(redis.Redis.from_url(server.url)) as other,
        contextlib.closing(worker_redis(server.url)) as client,
    ):
        write = loaded(other, "return redis.call('INCR', 'count')")
        before = connections(other)
        assert client.evalsha(write, 0) == 1
        (kept,) = connections(other) - before
        other.replicaof("127.0.0.1", 1)  # a primary that is not there
        with pytest.raises(redis.ReadOnlyError):
            client.evalsha(write, 0)
        assert kept not in connections(other)
        other.replicaof("NO", "ONE")
        assert client.evalsha(write, 0) == 2
    server.stop()


@contextlib.contextmanager
def ended_in_the_middle(redis: redis.Redis) -> Iterator[None]:
    """Take it for ended by its signal, in the middle of a script that the server does not answer yet."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise Ended

    redis.client_pause(60_000, all=False)
    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Ended):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        redis.client_unpause()


def test_the_answer_that_nobody_read_is_not_taken_for_the_next(client: SteadyRedis, redis: redis.Redis) -> None:
    fine, other = loaded(client, "return 'fine'"), loaded(client, "return 'other'")
    client.evalsha(fine, 0)
    with ended_in_the_middle(redis):
        client.evalsha(other, 0)
    assert client.evalsha(fine, 0) == b"fine"


def test_a_fork_has_a_connection_of_its_own(client: SteadyRedis) -> None:
    echo = loaded(client, "return ARGV[1]")
    client.evalsha(echo, 0, "first")
    if (child := os.fork()) == 0:
        right = all(client.evalsha(echo, 0, f"child {n}") == f"child {n}".encode() for n in range(200))
        os._exit(0 if right else 1)
    assert all(client.evalsha(echo, 0, f"parent {n}") == f"parent {n}".encode() for n in range(200))
    assert os.waitpid(child, 0)[1] == 0


def test_a_server_that_is_back_is_asked_again(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with contextlib.closing(worker_redis(server.url)) as client:
        count = client.register_script("return redis.call('INCR', 'count')")
        assert count() == 1
        server.stop()
        server.start()
        assert count() == 2  # which knows no script by now, too
        assert count() == 3
    server.stop()


def test_closed_it_leaves_no_connection_behind(redis_url: str, client: SteadyRedis) -> None:
    before = connections(client)
    other = worker_redis(redis_url)
    other.evalsha(loaded(other, "return 1"), 0)
    assert len(connections(client) - before) == 2
    other.close()
    assert connections(client) == before


# What goes along with the next script


class Heard:
    def __init__(self, client: SteadyRedis, sha: str, *args: object) -> None:
        self.client, self.command = client, ("EVALSHA", sha, 0, *args)
        self.answers: list[object] = []
        self.again = 0

    def send(self) -> None:
        self.client.later(Later(lambda: self.command, self.answers.append, self._ask_again))

    def _ask_again(self) -> None:
        self.again += 1


def test_a_command_goes_along_with_the_next_script(client: SteadyRedis) -> None:
    push = loaded(client, "return redis.call('RPUSH', 'said', ARGV[1])")
    first, second = Heard(client, push, "a"), Heard(client, push, "b")
    first.send()
    second.send()
    assert client.exists("said") == 0
    assert client.evalsha(push, 0, "c") == 3
    assert client.lrange("said", 0, -1) == [b"a", b"b", b"c"]
    assert (first.answers, second.answers, first.again, second.again) == ([1], [2], 0, 0)
    assert client.evalsha(push, 0, "d") == 4
    assert first.answers == [1]


def test_what_is_refused_along_with_a_script_asks_again_by_itself(client: SteadyRedis) -> None:
    fine = loaded(client, "return 'fine'")
    unknown, known = Heard(client, "0" * 40), Heard(client, fine)
    unknown.send()
    known.send()
    assert client.evalsha(fine, 0) == b"fine"
    assert (unknown.answers, unknown.again, known.answers, known.again) == ([], 1, [b"fine"], 0)
    wrong = loaded(client, "return redis.error_reply('WRONG it is')")
    known.send()
    with pytest.raises(ResponseError, match="WRONG it is"):
        client.evalsha(wrong, 0)
    assert known.answers == [b"fine", b"fine"]
    assert client.evalsha(fine, 0) == b"fine"


def test_another_thread_takes_nothing_along(client: SteadyRedis) -> None:
    fine = loaded(client, "return 'fine'")
    mine = Heard(client, fine)
    mine.send()
    thread = threading.Thread(target=client.evalsha, args=(fine, 0))
    thread.start()
    thread.join()
    assert mine.answers == []
    client.evalsha(fine, 0)
    assert mine.answers == [b"fine"]


def test_what_went_along_asks_again_where_the_server_went_away(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with contextlib.closing(worker_redis(server.url)) as client:
        assert isinstance(client, SteadyRedis)
        count = client.register_script("return redis.call('INCR', 'n')")
        assert count() == 1
        along = Heard(client, count.sha)
        server.stop()
        server.start()
        along.send()
        assert count() == 2
        assert (along.answers, along.again) == ([], 1)
    server.stop()


def test_a_step_that_is_ended_takes_no_time_for_it(client: SteadyRedis, redis: redis.Redis) -> None:
    fine = loaded(client, "return 'fine'")
    along = Heard(client, fine)
    along.send()
    with ended_in_the_middle(redis):
        client.evalsha(fine, 0)
    assert (along.answers, along.again) == ([], 0)
    assert client.evalsha(fine, 0) == b"fine"
