"""Real Valkey for every test that wants one, and waiting for conditions instead of sleeping."""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import hypothesis
import pytest
import structlog
from redis import Redis
from redis.driver_info import DriverInfo

from workers.valkey import EmbeddedValkey

T = TypeVar("T")
_DRIVER: Final = DriverInfo()

# How long an example takes says more about what else the machine does than about the code.
if "CI" not in os.environ:  # there hypothesis has a profile of its own, without a deadline too
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")


class Eventually(Protocol):
    def __call__(
        self,
        condition: Callable[[], T],
        timeout: float = 10,
        every: float = 0.02,
        message: str = "",
    ) -> T: ...


def _eventually(condition: Callable[[], T], timeout: float = 10, every: float = 0.02, message: str = "") -> T:
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(message or f"not within {timeout} s; the last value was {value!r}")
        time.sleep(every)
        every = min(every * 1.2, max(every, 0.2))  # what takes long is not asked all the time: others wait as well
    return value


def pytest_configure() -> None:
    # In the background of a script it is ignored, and so by all processes that are started from here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # As the command line has it, for what tests start without it.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # As they are by themselves, but for tracebacks: to draw one in colours, with all of its source, takes seconds.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is made here stays to the end: to look through all of it for garbage, again and again, takes a quarter."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first: else it runs alone at the end, while other processes have nothing left to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Wait until ``condition()`` is truthy and return its value; fail with ``message`` after ``timeout`` seconds."""
    return _eventually


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """One embedded Valkey for the whole run. Kill or stop your own instead: ``EmbeddedValkey(tmp_path / "valkey")``."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("shared") / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _broom(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    with contextlib.closing(Redis.from_url(valkey_server.url)) as client:
        yield client


@pytest.fixture
def redis_url(valkey_server: EmbeddedValkey, _broom: Redis) -> str:
    """Return the URL of an empty database."""
    _broom.flushall()
    return valkey_server.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """Yield a client of an empty database; it answers bytes."""
    # The library would look its own version up anew, which takes longer than to connect.
    with contextlib.closing(Redis.from_url(redis_url, driver_info=_DRIVER)) as client:
        yield client
