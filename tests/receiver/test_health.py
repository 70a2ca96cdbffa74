import pytest
from redis import Redis

from receiver.app import create_app
from workers import keys
from workers.settings import Settings
from workers.wiring import build
from workers.work import LANES


def test_alive_touches_nothing(client, redis):
    assert client.get("/healthz").json == {"alive": True}
    assert redis.dbsize() == 0


def test_alive_without_redis_but_not_ready(env):
    client = create_app(build(Settings.from_env(env), Redis(port=1, retry=None))).test_client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert "Retry-After" in answer.headers


def test_ready_tells_how_long_ago_the_clock_passed(client, redis):
    assert client.get("/readyz").json == {"ready": True, "clock": dict.fromkeys(LANES)}
    seconds, micros = redis.time()
    redis.hset(keys.CLOCK, LANES[0], seconds * 1000 + micros // 1000 - 5000)
    assert client.get("/readyz").json["clock"][LANES[0]] == pytest.approx(5, abs=1)


def test_a_redis_that_only_reads_is_not_ready(client, redis):
    redis.replicaof("127.0.0.1", "1")
    try:
        assert client.get("/readyz").status_code == 503
    finally:
        redis.replicaof("NO", "ONE")


def test_a_full_redis_is_not_ready(client, redis):
    redis.config_set("maxmemory", "1")
    try:
        assert client.get("/readyz").status_code == 503
    finally:
        redis.config_set("maxmemory", "0")


def test_the_budget(api, services):
    services.budget.take("submit", "a-test")
    assert api.get("/api/budget").json == {"limit": 1000, "window": 1.0, "free": 999, "used": 1, "pause": 0.0}
