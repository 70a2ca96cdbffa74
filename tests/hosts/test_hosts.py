"""The whole service over eight hosts of our own, two of which die, and then the cable between their sites is cut."""

import contextlib
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from redis import RedisError

from tests.chaos.balance import Balance, balance, is_quiet
from tests.chaos.load import Load
from tests.hosts.fleet import Fleet, fleet
from tests.hosts.network import Network, lacking
from tests.targets import Target, target
from workers.sandbox import Sandbox, SandboxConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEY = "a-callback-key-of-the-hosts"


@pytest.fixture
def network() -> Iterator[Network]:
    if (why := lacking()) and "CI" not in os.environ:
        pytest.skip(why)
    with Network(os.getpid() % 250 + 1) as made:
        yield made


def swiftia(network: Network) -> SandboxConfig:
    return SandboxConfig(
        host=network.gateway,
        port=0,
        rate_limit="20/1s",
        shorts=2,
        job_seconds=1,
        render_seconds=2,
        twice=0.2,
        never=0.1,
        film_bytes="20000-50000",
    )


def environment(network: Network, sandbox: Sandbox, app: Target, folder: Path) -> dict[str, str]:
    return {
        "SWIFTIA_API_KEY": "sandbox-key",
        "SWIFTIA_BASE_URL": sandbox.url,
        "SWIFTIA_RATE_LIMIT": sandbox.config.rate_limit,
        "TRUSTED_NETWORKS": network.outside,
        "CALLBACK_KEYS": KEY,
        "STORAGE_URL": f"file://{folder}/data/artifacts",  # one disk that all hosts have, as over NFS
        "DELIVERY_URL": app.url,
        "DELIVERY_SECRET": "whsec_c2VjcmV0LW9mLXRoZS1ob3N0cy1zZWNyZXQ=",
        "RECONCILE_AFTER": "3s",
        "RETRY_BASE": "200ms",
        "RETRY_CAP": "2s",
        "MAX_ATTEMPTS": "60",
        "WORKERS": "2",
        "WEB_CONCURRENCY": "1",
    }


def loads(service: Fleet) -> list[Load]:
    """One for each web: callbacks and submissions reach both sites all the time."""
    made = []
    for name in ("web1", "web2"):
        face = Fleet(service.folder, service.env, network=service.network, hosts=service.hosts)
        face.http = service.client(name)
        chance = random.Random(name)  # noqa: S311 - the same load every time
        made.append(Load(face, chance, KEY, jobs_per_second=0.5, callbacks_per_second=4, name=name))
    return made


def settled(service: Fleet) -> bool:
    with contextlib.suppress(httpx2.HTTPError, RedisError, ValueError, KeyError):
        with service.client("web1") as other:
            empty = other.get("/readyz").json()["spool"]["count"] == 0
        return empty and is_quiet(service)
    return False


def test_hosts_die_and_sites_are_cut_apart_and_the_books_balance(
    tmp_path: Path, network: Network, record_property: Callable[[str, object], None]
) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    with (
        Sandbox(swiftia(network)) as sandbox,
        target(lambda _: (200, {}), host=network.gateway) as app,
        fleet(folder, network, environment(network, sandbox, app, folder)) as service,
    ):
        left, right = loads(service)
        for load in (left, right):
            load.start()
        the_worst(service)
        for load in (left, right):
            load.stop()
        found = at_rest(service, left, right, sandbox, app)
    record_property("hosts", json.dumps(found.figures))
    sys.stdout.write(json.dumps(found.figures, indent=1) + "\n")
    assert found.violations == []


def the_worst(service: Fleet) -> None:
    """Two hosts die and come back; then the primary's site is cut off until there is a primary at the other one."""
    service.wait_for(lambda: service.counts().get("finished", 0) >= 1, 60)
    for name in ("work2", "web1"):
        service.kill_host(name)
        service.start_host(name)
    service.wait_for(lambda: service.answers("web1"), 60)
    service.network.cut()
    service.wait_for(lambda: service.primary(seen_by="redis2") != "redis1", 60)
    finished = service.counts()["finished"]
    service.wait_for(lambda: service.counts().get("finished", 0) > finished, 60)  # the other site goes on alone
    service.wait_for(lambda: spooled(service), 30)
    service.network.mend()
    service.wait_for(lambda: service.following(service.primary(seen_by="redis2")) == 2, 60)


def spooled(service: Fleet) -> bool:
    with service.client("web1") as cut_off:
        return bool(cut_off.get("/readyz").json()["spool"]["count"])


def at_rest(service: Fleet, left: Load, right: Load, sandbox: Sandbox, app: Target) -> Balance:
    for load in (left, right):
        with httpx2.Client(base_url=service.http.base_url, timeout=30, headers=service.http.headers) as http:
            for item in load.items:
                load.ask(http, item)
    service.wait_for(lambda: settled(service), 120, every=0.5)
    left.items += right.items
    left.acknowledged += right.acknowledged
    left.sent += right.sent
    return balance(service, left, sandbox.books(), app)
