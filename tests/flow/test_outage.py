"""Swiftia is away for a while, as the running service meets it: few requests find out, and no job pays for it."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.slow
JOBS = 12


@pytest.mark.timeout(240)
def test_an_outage_costs_a_few_probes_and_no_job(machine: Callable[..., Any], balanced: Callable[..., None]) -> None:
    """A job has six tries within two seconds: without the breaker each would be parked."""
    service = machine(
        MAX_ATTEMPTS="6",
        RETRY_BASE="200ms",
        RETRY_CAP="400ms",
        SANDBOX_RATE_LIMIT="50/1s",
        SANDBOX_SHORTS="1",
        SANDBOX_JOB_SECONDS="2",
        SANDBOX_RENDER_SECONDS="0.3",
        SANDBOX_QUEUE_SECONDS="0",
    )
    jobs = service.submit_many([f"video-{n:04}" for n in range(JOBS)])
    configure(service, server_errors=1.0, fault_effect="before")
    service.wait_for(lambda: budget(service)["breaker"] == "open", 60)
    before = asked(service)
    service.wait_for(lambda: budget(service)["breaker"] == "open" and budget(service)["pause"] > 4, 60)
    assert asked(service) - before <= 4, "only probes ask"
    assert service.http.get("/readyz").status_code == 200
    configure(service, server_errors=0.0)
    service.wait_for(lambda: service.all_settled(JOBS), 120, every=0.5)
    balanced(service, jobs)
    assert budget(service)["breaker"] == "closed"
    assert service.books()["rate_limited"] == 0


@pytest.mark.timeout(240)
def test_a_refused_key_stops_the_work_until_it_is_taken_again(machine: Callable[..., Any]) -> None:
    service = machine(SANDBOX_SHORTS="1", SANDBOX_JOB_SECONDS="1", SANDBOX_RENDER_SECONDS="0.3")
    jobs = service.submit_many(["video-0001", "video-0002"])
    configure(service, api_key="another-key")
    service.wait_for(lambda: not budget(service)["credentials_ok"], 60)
    assert budget(service)["pause_reason"] == "credentials"
    assert service.books()["unauthorized"] <= 2
    configure(service, api_key="sandbox-key")
    service.wait_for(lambda: service.all_settled(len(jobs)), 120, every=0.5)
    assert budget(service)["credentials_ok"]
    assert [service.job(job)["state"] for job in jobs] == ["finished"] * len(jobs)
    assert service.log().count("swiftia.credentials_work") == 1


def configure(service: Any, **changes: object) -> None:
    answer = httpx2.post(f"{service.sandbox}/__config", json=changes, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def budget(service: Any) -> dict[str, Any]:
    return dict(service.http.get("/api/budget").json())


def asked(service: Any) -> int:
    requests = service.books()["requests"]
    return sum(sum(ends.values()) for route, ends in requests.items() if "/api/" in route)
