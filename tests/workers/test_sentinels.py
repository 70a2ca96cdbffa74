"""Addresses of sentinels, and what is done with the answers of a server that is no primary any more."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import ConnectionError as RedisConnectionError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from workers.connections import safe_url, web_redis
from workers.errors import InvalidSettings
from workers.sentinels import primary, read_address
from workers.steady import SteadyRedis

HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"
TEXT = st.text(min_size=1, max_size=20)


def test_an_address_is_read_whole():
    found = read_address(
        "redis+sentinel://app:p%40ss%2F@a:1,b,[::1]:3/films-1/7?sentinel_username=s&sentinel_password=t"
    )
    assert found.sentinels == (("a", 1), ("b", 26379), ("::1", 3))
    assert (found.service, found.db) == ("films-1", 7)
    assert (found.username, found.password) == ("app", "p@ss/")
    assert (found.sentinel_username, found.sentinel_password) == ("s", "t")
    assert "p@ss/" not in repr(found)
    bare = read_address("redis+sentinel://:only@a:1/films")
    assert (bare.db, bare.username, bare.password, bare.sentinel_password) == (0, None, "only", None)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("a:1", "the primary's name"),
        ("a:1/", "the primary's name"),
        ("a:1/films/zero", "the primary's name"),
        ("a:1/films/0/1", "the primary's name"),
        ("a:1/fil ms", "the primary's name"),
        ("/films", "no host:port"),
        ("a:1,/films", "no host:port"),
        ("a:0/films", "no host:port"),
        ("a:65536/films", "no host:port"),
        ("a:b/films", "no host:port"),
        ("a:1 /films", "no host:port"),
        ("@a:1/films", "are empty"),
        (":hun/ter2@a:1/films", "the primary's name"),
        (":hun?ter2@a:1/films", "its options may be"),
        (":hun#ter2@a:1,/films", "REDIS_URL"),
        ("a:1/films?socket_timeout=900", "its options may be"),
        ("a:1/films?decode_responses=1", "its options may be"),
        ("a:1/films?sentinel_password=ter2&sentinel_password=ter2", "its options may be"),
        ("a:1/films?ter2", "its options may be"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_setting_to_mend_and_stays_secret(rest, words):
    with pytest.raises(InvalidSettings, match=words) as refusal:
        web_redis(f"redis+sentinel://{rest}")
    assert "ter2" not in str(refusal.value)
    assert "redis+sentinel://h1:26379,h2:26379,h3:26379/name/0" in str(refusal.value)


@given(st.text(max_size=40).map("redis+sentinel://{}".format))
@settings(max_examples=200)
def test_any_address_is_read_or_refused(url):
    safe_url(url)
    with contextlib.suppress(InvalidSettings):
        read_address(url)


@given(TEXT, TEXT)
@settings(max_examples=100)
def test_a_quoted_user_and_password_arrive_as_they_were(user, password):
    found = read_address(f"redis+sentinel://{quote(user, safe='')}:{quote(password, safe='')}@a:1/films")
    assert (found.username, found.password) == (user, password)


def test_the_safe_url_names_the_sentinels_and_no_password():
    url = "redis+sentinel://app:hunter2@a:1,b:2/films/0?sentinel_password=hunter2"
    assert safe_url(url) == "redis+sentinel://***@a:1,b:2/films/0"
    with contextlib.closing(web_redis(url)) as client:
        assert "hunter2" not in repr(client)


def test_the_web_client_gives_up_soon_without_sentinels(free_ports):
    with contextlib.closing(web_redis(address(*free_ports(3)))) as client:
        began = time.monotonic()
        with pytest.raises(MasterNotFoundError, match="no sentinel names a primary for 'films'"):
            client.ping()
        assert time.monotonic() - began < 2


def test_a_sentinel_that_does_not_know_the_name_is_passed_over(serve, free_ports):
    stranger = serve({b"SENTINEL": b"-ERR No such master with that name\r\n"})
    client = client_of(stranger, *free_ports(1))
    with contextlib.closing(client), pytest.raises(MasterNotFoundError, match="No such master"):
        client.ping()


@pytest.mark.parametrize(
    "answer",
    [
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-READONLY You can't write against a read only replica. script: 1, on @user_script:1.\r\n",
        b"-ERR Error running script: @user_script:1: -READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n",
        b"-LOADING Valkey is loading the dataset in memory\r\n",
    ],
)
@pytest.mark.parametrize("kind", [Redis, SteadyRedis])
def test_a_server_that_is_no_primary_any_more_is_left_for_the_new_one(serve, answer, kind):
    old = serve({b"INCRBY": answer, b"EVALSHA": answer})
    new = serve({b"INCRBY": b":7\r\n", b"EVALSHA": b":8\r\n"})
    named = iter([old, old, old, old, *[new] * 6])
    sentinel = serve({b"SENTINEL": lambda: master(next(named))})
    with contextlib.closing(client_of(sentinel, retries=5, kind=kind)) as client:
        assert client.incr("key") == 7
        assert client.evalsha("0" * 40, 0) == 8


def test_a_kept_connection_leaves_a_server_that_is_no_primary_any_more(serve):
    said = iter([b":1\r\n", b"-READONLY You can't write against a read only replica.\r\n"])
    old, new = serve({b"EVALSHA": lambda: next(said)}), serve({b"EVALSHA": b":2\r\n"})
    named = iter([old, *[new] * 6])
    sentinel = serve({b"SENTINEL": lambda: master(next(named))})
    with contextlib.closing(client_of(sentinel, kind=SteadyRedis)) as client:
        assert [client.evalsha("0" * 40, 0) for _ in range(4)] == [1, 2, 2, 2]


def test_another_error_is_the_callers(serve):
    server = serve({b"INCRBY": b"-ERR value is not an integer or out of range\r\n"})
    sentinel = serve({b"SENTINEL": master(server)})
    with contextlib.closing(client_of(sentinel)) as client, pytest.raises(Exception, match="not an integer") as caught:
        client.incr("key")
    assert not isinstance(caught.value, RedisConnectionError)


# Servers that say what they are told to


def address(*ports: int) -> str:
    return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/films/0"


def client_of(*ports: int, retries: int = 0, kind: type[Redis] = Redis):
    options = {"retry": Retry(NoBackoff(), retries), "socket_timeout": 2.0}
    return primary(address(*ports), lookup_timeout=2.0, kind=kind, **options)


def master(port: int) -> bytes:
    words = {"name": "films", "ip": "127.0.0.1", "port": str(port), "flags": "master", "num-other-sentinels": "2"}
    flat = [text for pair in words.items() for text in pair]
    return f"%{len(words)}\r\n".encode() + b"".join(f"${len(text)}\r\n{text}\r\n".encode() for text in flat)


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    def find(count: int) -> list[int]:
        with contextlib.ExitStack() as stack:
            probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
            return [probe.getsockname()[1] for probe in probes]

    return find


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Start a server that answers each command from a table, and OK to what is not in it. Gives its port."""
    with contextlib.ExitStack() as stack:

        def start(table: dict[bytes, object]) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=accept, args=(listener, table), daemon=True).start()
            return int(listener.getsockname()[1])

        yield start


def accept(listener: socket.socket, table: dict[bytes, object]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer_all, args=(connection, table), daemon=True).start()


def answer_all(connection: socket.socket, table: dict[bytes, object]) -> None:
    with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError, StopIteration):
        while count := lines.readline():
            words = [lines.read(int(lines.readline()[1:]) + 2)[:-2] for _ in range(int(count[1:]))]
            answer = table.get(words[0].upper(), HELLO if words[0] == b"HELLO" else b"+OK\r\n")
            connection.sendall(answer() if callable(answer) else answer)
