import pytest
from redis import Redis

from receiver.app import create_app
from workers import keys
from workers.budget import NoSlot
from workers.errors import CredentialsRefused
from workers.settings import Settings
from workers.wiring import build
from workers.work import LANES


def test_alive_touches_nothing(client, redis):
    assert client.get("/healthz").json == {"alive": True}
    assert redis.dbsize() == 0


def without_redis(env, **changes):
    return create_app(build(Settings.from_env({**env, **changes}), Redis(port=1, retry=None))).test_client()


def test_without_redis_it_is_ready_as_long_as_the_spool_is(env, job_url):
    client = without_redis(env)
    empty = {"ready": True, "redis": False, "clock": None, "spool": {"count": 0, "bytes": 0}}
    answer = client.get("/readyz").json
    assert answer.pop("storage")["paused"] is False
    assert answer == empty
    client.post(job_url, data=b"x" * 1000)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["spool"]["count"] == 1
    assert answer.json["spool"]["bytes"] > 1000


def test_alive_without_redis_and_spool_but_not_ready(env):
    # Smaller than the largest callback that is taken.
    client = without_redis(env, SPOOL_MAX_BYTES="9000")
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert "Retry-After" in answer.headers


def test_without_redis_and_without_a_disk_it_is_not_ready(env, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").write_text("a file where a folder must be")
    assert without_redis(env).get("/readyz").status_code == 503


def test_with_redis_it_is_ready_without_a_disk(client, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").write_text("a file where a folder must be")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["redis"], answer.json["spool"]) == (200, True, None)


def test_ready_tells_how_long_ago_the_clock_passed(client, redis):
    nothing_waits = {"count": 0, "bytes": 0}
    never = dict.fromkeys(LANES)
    answer = client.get("/readyz").json
    assert answer.pop("storage")["free_bytes"] > 0
    assert answer == {"ready": True, "redis": True, "clock": never, "spool": nothing_waits}
    seconds, micros = redis.time()
    redis.hset(keys.CLOCK, LANES[0], seconds * 1000 + micros // 1000 - 5000)
    assert client.get("/readyz").json["clock"][LANES[0]] == pytest.approx(5, abs=1)


def test_a_redis_that_only_reads_is_none(client, redis):
    redis.replicaof("127.0.0.1", "1")
    try:
        assert client.get("/readyz").json["redis"] is False
    finally:
        redis.replicaof("NO", "ONE")


def test_a_full_redis_is_none(client, redis):
    redis.config_set("maxmemory", "1")
    try:
        assert client.get("/readyz").json["redis"] is False
    finally:
        redis.config_set("maxmemory", "0")


def test_the_budget(api, services):
    services.budget.take("submit", "a-test")
    assert api.get("/api/budget").json == {
        "limit": 1000,
        "configured": 1000,
        "window": 1.0,
        "free": 999,
        "used": 1,
        "margin": 0.0,
        "waiting": {"submit": 0, "fetch": 0, "render": 0, "watch": 0, "reconcile": 0},
        "pause": 0.0,
        "pause_reason": "",
        "breaker": "closed",
        "credentials_ok": True,
        "refused": {"ours": 0, "stranger": 0, "shrunk": 0},
    }


def test_the_budget_says_why_nothing_leaves(api, services):
    with pytest.raises(CredentialsRefused), services.budget.slot("submit", "a-test"):
        raise CredentialsRefused("no")
    with pytest.raises(NoSlot), services.budget.slot("watch", "a-test"):
        pytest.fail("nothing may be sent")
    found = api.get("/api/budget").json
    assert 29 < found["pause"] <= 30
    assert (found["pause_reason"], found["credentials_ok"], found["free"]) == ("credentials", False, 0)
    assert found["waiting"]["watch"] == 1
