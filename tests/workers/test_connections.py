import contextlib
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from workers.connections import Patience, safe_url, web_redis, worker_redis
from workers.durability import Durability, durability
from workers.errors import InvalidSettings, LedgerUnavailable
from workers.valkey import EmbeddedValkey

SOUND = Durability(role="master", maxmemory_policy="noeviction", appendonly=True, appendfsync="always")
CLIENTS = [web_redis, worker_redis]
ANY_TEXT = st.text(max_size=40)


@pytest.fixture
def hung_url(tmp_path):
    """Yield the URL of a server that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "hung"))
        listener.listen(50)
        yield f"unix://{tmp_path}/hung"


@pytest.mark.parametrize("make", CLIENTS)
def test_clients_talk_bytes(make, redis_url):
    with contextlib.closing(make(redis_url)) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


@pytest.mark.parametrize("make", CLIENTS)
def test_clients_know_the_schemes(make):
    for url in ("redis://h:1/2", "rediss://u:p@h?ssl_cert_reqs=none", "unix:///run/a%20b.sock?db=3"):
        make(url).close()


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://:hunter2@a:1,b:2", "after the hosts"),
        ("rediss+sentinel://a:1/name", "must begin with redis://"),
        ("http://h", "must begin with redis://"),
        ("h:6379", "must begin with redis://"),
        ("", "must begin with redis://"),
        ("redis://:hunter2@h:port", "cannot be read"),
        ("redis://:hun/ter2@h:6379", "cannot be read"),
        ("redis://[hunter2", "may be"),
        ("redis://:hunter2@h?decode_responses=yes", "may be"),
        ("redis://:hunter2@h?socket_timeout=900", "may be"),
        ("redis://:a?hunter2@h", "may be"),
    ],
)
def test_an_unusable_url_is_a_setting_to_mend_and_stays_secret(make, url, words):
    with pytest.raises(InvalidSettings, match=words) as refusal:
        make(url)
    assert "hunter2" not in str(refusal.value)
    assert "ter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@given(ANY_TEXT | ANY_TEXT.map("redis://{}".format) | ANY_TEXT.map("unix://{}".format))
@settings(max_examples=200)
def test_any_url_is_taken_or_refused(url):
    safe_url(url)
    with contextlib.suppress(InvalidSettings):
        web_redis(url).close()


@given(ANY_TEXT, ANY_TEXT, st.sampled_from(["redis", "rediss", "unix", "redis+sentinel"]))
@settings(max_examples=200)
def test_a_password_never_shows(before, after, scheme):
    password = f"{before}HUNTER2{after}"
    for url in (
        f"{scheme}://:{password}@h:1/0",
        f"{scheme}://u:{quote(password)}@h",
        f"{scheme}://h/0?password={password}",
        f"{scheme}://u:{password}@h?password={password}",
    ):
        assert "HUNTER2" not in safe_url(url)
        assert "%48UNTER2" not in safe_url(url)


def test_a_clients_repr_shows_no_password():
    assert "hunter2" not in repr(web_redis("redis://app:hunter2@h:1"))


def test_the_safe_url_still_names_the_place():
    assert safe_url("rediss://app:secret@cache.example:6380/1") == "rediss://***@cache.example:6380/1"
    assert safe_url("unix:///run/valkey.sock?db=1") == "unix:///run/valkey.sock"
    assert safe_url("redis://h:6379") == "redis://h:6379"
    assert safe_url("rediss://app:se?cr@et@cache.example:6380/1") == "rediss://***"


def test_the_web_client_gives_up_on_a_hung_server(hung_url):
    with contextlib.closing(web_redis(hung_url)) as client:
        began = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            client.set("key", "value")
        assert time.monotonic() - began < 3


def test_the_web_client_gives_up_at_once_without_a_server(tmp_path):
    with contextlib.closing(web_redis(f"unix://{tmp_path}/none")) as client:
        began = time.monotonic()
        with pytest.raises(RedisConnectionError):
            client.ping()
        assert time.monotonic() - began < 1


def test_the_worker_client_sits_out_a_restart(tmp_path):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    client = worker_redis(server.url)
    client.set("key", "value")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    asking = threading.Event()

    def ask():
        asking.set()
        return client.get("key")

    with contextlib.closing(client), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        asking.wait()
        server.start()
        assert answer.result(timeout=20) == b"value"
    server.stop()


def test_patience_ends_by_the_clock_and_after_the_last_clean_up(hung_url):
    cleaned = []

    def never():
        raise RedisTimeoutError

    with pytest.raises(RedisTimeoutError):
        Patience(ConstantBackoff(0.01), 1000, seconds=0.1).call_with_retry(never, cleaned.append)
    assert 2 <= len(cleaned) <= 12
    retry = Patience(ConstantBackoff(0.01), 40, seconds=0.5)
    hung = Redis.from_url(hung_url, retry=retry, socket_timeout=0.1, health_check_interval=1)
    with contextlib.closing(hung) as client:
        began = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        assert time.monotonic() - began < 3


def test_the_worker_client_tries_for_about_a_minute():
    with contextlib.closing(worker_redis("redis://h")) as client:
        retry = client.get_retry()
    pauses = [retry._backoff.compute(failures) for failures in range(1, retry.get_retries() + 1)]  # noqa: SLF001 - the library has no other way to ask
    assert 40 < sum(pauses) < 90


def test_the_embedded_server_is_durable(redis):
    found = durability(redis)
    assert found == SOUND
    assert found.durable
    assert found.problems == found.unknown == ()


def test_a_careless_server_is_told_what_to_mend(redis):
    before = {name: redis.config_get(name)[name] for name in ("maxmemory-policy", "appendfsync")}
    try:
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendfsync", "everysec")
        found = durability(redis)
    finally:
        for name, value in before.items():
            redis.config_set(name, value)
    assert not found.durable
    evicts, loses = found.problems
    assert "allkeys-lru" in evicts
    assert "set noeviction" in evicts
    assert "everysec" in loses


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Durability("slave", "noeviction", appendonly=True, appendfsync="always"), "primary"),
        (Durability("master", "volatile-ttl", appendonly=True, appendfsync="always"), "noeviction"),
        (Durability("master", "noeviction", appendonly=False, appendfsync="everysec"), "appendonly yes"),
        (Durability("master", "noeviction", appendonly=True, appendfsync="no"), "appendfsync is no"),
    ],
)
def test_each_fault_is_one_problem(found, word):
    (problem,) = found.problems
    assert word in problem
    assert not found.durable


def test_a_server_that_forbids_config_leaves_it_open(redis, redis_url):
    redis.execute_command("ACL", "SETUSER", "managed", "on", "nopass", "~*", "+@all", "-config")
    redis.execute_command("ACL", "SETUSER", "mute", "on", "nopass", "~*", "+@all", "-config", "-info")
    path = redis_url.removeprefix("unix://")
    try:
        with contextlib.closing(Redis.from_url(f"unix://managed:x@{path}")) as client:
            found = durability(client)
        with contextlib.closing(Redis.from_url(f"unix://mute:x@{path}")) as client:
            nothing = durability(client)
    finally:
        redis.execute_command("ACL", "DELUSER", "managed", "mute")
    assert found == Durability("master", "noeviction", appendonly=True, appendfsync=None)
    assert found.unknown == ("appendfsync",)
    assert found.problems == ()
    assert not found.durable
    assert nothing == Durability(None, None, appendonly=None, appendfsync=None)


def test_durability_of_a_server_that_is_away(tmp_path):
    with contextlib.closing(web_redis(f"unix://{tmp_path}/none")) as client, pytest.raises(LedgerUnavailable):
        durability(client)
