"""Several organizations in one running ``up``, each with a Swiftia of its own: those that are stuck hold up nobody."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from workers.sandbox import Sandbox, SandboxConfig

pytestmark = pytest.mark.slow
Start = Callable[..., Any]

JOBS = 10
QUICK = {"job_seconds": 0.5, "render_seconds": 0.5, "queue_seconds": 0.0, "film_bytes": "30000-60000"}
PEERS: dict[str, dict[str, object]] = {
    "healthy": {**QUICK, "rate_limit": "5/1s"},
    "refused": {"api_key": "another-key"},
    "spent": {"rate_limit": "1/36000s"},
    "hanging": {"slow": 1.0, "slow_seconds": 25.0},
}


@pytest.fixture
def peers() -> Iterator[dict[str, Sandbox]]:
    """One sandbox for each account."""
    made = {name: Sandbox(SandboxConfig(port=0, seed=name, **given)).start() for name, given in PEERS.items()}
    yield made
    for peer in made.values():
        peer.stop()


def accounts_file(folder: Path, peers: dict[str, Sandbox]) -> Path:
    path = folder / "accounts.toml"
    (folder / "key").write_text("sandbox-key\n")
    tables = [
        f'[{name}]\nkey_file = "key"\nbase_url = "{peer.url}"\nrate_limit = "5/1s"\n' for name, peer in peers.items()
    ]
    path.write_text("\n".join(tables))
    return path


def submit(service: Any, account: str, video: str) -> str:
    return str(service.submit(video, account=account)["id"])


@pytest.mark.timeout(300)
def test_those_that_are_stuck_hold_up_nobody(machine: Start, peers: dict[str, Sandbox], tmp_path: Path) -> None:
    httpx2.get(f"{peers['spent'].url}/api/jobs/x", headers={"Authorization": "Bearer sandbox-key"}, trust_env=False)
    path = accounts_file(tmp_path, peers)
    service = machine(SWIFTIA_ACCOUNTS=str(path), TRUSTED_NETWORKS="127.0.0.0/8", GRACE_SECONDS="1s")
    stuck = {name: [f"{name}_{n}" for n in range(20)] for name in peers if name != "healthy"}
    for name, jobs in stuck.items():
        for job in jobs:
            assert service.http.put(f"/api/jobs/{job}", json={"account": name}).status_code == 201
    for name, peer in peers.items():
        if name != "healthy":
            service.wait_for(lambda peer=peer: peer.books()["requests"], 60)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda n: submit(service, "healthy", f"video-{n}"), range(JOBS)))
    service.wait_for(lambda: service.counts().get("finished", 0) == JOBS, 120)
    took = time.monotonic() - began
    books = peers["healthy"].books()
    requests = sum(count for route, found in books["requests"].items() if "/api/" in route for count in found.values())
    assert books["rate_limited"] == 0
    assert [service.job(job)["state"] for job in jobs] == ["finished"] * JOBS
    assert {service.job(job)["account"] for job in jobs} == {"healthy"}
    # At five a second; and what is left at the end of it for looks at the last renders.
    assert took < requests / 5 * 1.5 + 15, f"{requests} requests took {took:.1f} s"
    for name, names in stuck.items():
        found = [service.job(job) for job in names]
        assert {job["state"] for job in found} == {"waiting"}, name
        assert not [event for job in found for event in job["timeline"] if event["event"] == "parked"]
