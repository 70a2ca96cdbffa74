"""What the overview goes by: the same few questions however much there is, and still something true without Redis."""

import contextlib

import pytest
from redis import Redis

from receiver.app import create_app
from receiver.console.lookout import FRESH_S, Lookout
from tests.receiver.console.conftest import ADMIN, signed_in
from workers.census import Census
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.settings import Settings
from workers.valkey import EmbeddedValkey
from workers.wiring import build


class Ticks:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def lookout(services, ticks):
    return Lookout(services, Census(services.redis, archive_s=8e6), clock=ticks)


def commands(redis: Redis) -> int:
    """How many commands the server has carried out, those of scripts too."""
    return sum(entry["calls"] for entry in redis.info("commandstats").values())


def park(ledger: Ledger, first: int, count: int) -> None:
    for n in range(first, first + count):
        ledger.accept(ref="", job_id=f"job_{n}", receipt=f"rc{n}", digest="d", meta={}, body=b"{}")
        record = ledger.begin(JobSubject(f"job_{n}"), "fetch", 1)
        ledger.move(record, "parked", reason="the moon is in the wrong house")


def test_it_asks_the_same_questions_however_many_jobs_there_are(tmp_path, env, ticks):
    server = EmbeddedValkey(tmp_path / "own")  # where nobody else's questions are counted
    server.start()
    with contextlib.closing(Redis.from_url(server.url)) as redis:
        services = build(Settings.from_env({**env, "REDIS_URL": server.url}), redis)
        lookout = Lookout(services, Census(redis, archive_s=8e6), clock=ticks)
        park(services.ledger, 0, 3)
        lookout.look()  # scripts are loaded
        counted = []
        for first in (3, 60):
            park(services.ledger, first, 30)
            ticks.at += FRESH_S
            before = commands(redis)
            known = lookout.look()
            counted.append(commands(redis) - before)
    server.stop()
    assert known.jobs["parked"] == 63
    assert [group.count for group in known.groups] == [63]
    assert counted[0] == counted[1]


def test_it_asks_once_however_many_look(lookout, services, ticks):
    first = lookout.look()
    before = commands(services.redis)
    ticks.at += FRESH_S / 2
    assert lookout.look() is first
    assert commands(services.redis) - before <= 1  # the question itself
    ticks.at += FRESH_S
    assert lookout.look() is not first


def test_while_redis_is_away_what_it_said_last_is_told_and_what_is_here_as_it_is_now(tmp_path, env, ticks):
    server = EmbeddedValkey(tmp_path / "own")
    server.start()
    with contextlib.closing(Redis.from_url(server.url, socket_timeout=1)) as redis:
        services = build(Settings.from_env({**env, "REDIS_URL": server.url}), redis)
        lookout = Lookout(services, Census(redis, archive_s=8e6), clock=ticks)
        park(services.ledger, 0, 2)
        there = lookout.look()
        server.stop()
        ticks.at += FRESH_S
        away = lookout.look()
    assert (there.redis, away.redis) == (True, False)
    assert (away.jobs, away.at) == (there.jobs, there.at)
    assert away.spool is not None
    assert away.room is not None


def test_the_overview_is_there_while_redis_is_away(tmp_path, env):
    server = EmbeddedValkey(tmp_path / "own")
    server.start()
    with contextlib.closing(Redis.from_url(server.url, socket_timeout=1)) as redis:
        app = create_app(build(Settings.from_env({**env, "REDIS_URL": server.url}), redis))
        admin = signed_in(app, ADMIN)
        server.stop()
        page = admin.get("/")
        assert page.status_code == 200
        assert "Redis does not answer" in page.text
        assert "Redis is away; what it said last, as of" in page.text
        assert admin.get("/parked", headers={"Accept": "text/html"}).status_code == 503
