"""``GET /api/storage`` from a sandbox, and what the metrics and ``check`` make of it."""

from collections.abc import Iterator

import pytest
from redis import Redis

from workers import keys
from workers.budget import Budget
from workers.limits import RateLimit
from workers.sandbox import Sandbox, SandboxConfig
from workers.uploads import Stock


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(port=0, rate_limit="1000/1s", seed="7", storage_mb=50)) as running:
        yield running


def test_how_full_it_is(asking):
    answer = asking().get("/api/storage")
    assert answer.status_code == 200
    assert answer.headers["Age"] == "0"
    found = dict(answer.json)
    assert found.pop("fetched_at").endswith("Z")
    assert found == {
        "used_mb": 0.0,
        "total_mb": 50.0,
        "used_percent": 0.0,
        "warning": False,
        "files": 0,
        "age": 0,
    }


def spend(redis: Redis) -> None:
    """Take the one request that there is."""
    assert isinstance(Budget(redis, RateLimit(1, 600_000)).take("submit", "somebody"), str)


def test_what_was_seen_is_answered_with_its_age_and_its_warning(asking, redis):
    client = asking(SWIFTIA_RATE_LIMIT="1/600s", STORAGE_WARN_PERCENT="90")
    redis.set(keys.storage(""), Stock(45.0, 50.0, 90.0, 12, 1_700_000_000.0).as_json())
    spend(redis)
    answer = client.get("/api/storage")
    assert (answer.status_code, answer.json["warning"], answer.json["files"]) == (200, True, 12)
    assert answer.json["age"] > 3600
    assert answer.headers["Age"] == str(answer.json["age"])


def test_busy_is_a_problem_with_a_time_to_come_again(asking, redis):
    client = asking(SWIFTIA_RATE_LIMIT="1/600s")
    spend(redis)
    answer = client.get("/api/storage")
    assert (answer.status_code, answer.json["type"].rpartition("/")[2]) == (429, "busy")
    assert int(answer.headers["Retry-After"]) > 100


def test_an_account_that_is_not_there_is_refused(asking):
    assert asking().get("/api/storage?account=acme").status_code == 400


def test_it_is_nobodys_business(client):
    assert client.get("/api/storage").status_code == 401


def test_the_metric_tells_what_was_seen_and_asks_nobody(api, redis):
    redis.sadd(keys.ACCOUNTS, "acme", "beta")
    redis.set(keys.storage("acme"), Stock(45.0, 50.0, 90.0, 12, 1.0).as_json())
    redis.set(keys.storage("beta"), Stock(45.0, None, None, 12, 1.0).as_json())
    lines = [line for line in api.get("/metrics").text.splitlines() if "upstream_storage" in line and line[0] != "#"]
    assert lines == ['swiftia_receiver_upstream_storage_used_percent{account="acme"} 90.0']
