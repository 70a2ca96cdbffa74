"""The product itself, in processes: ``up`` in an empty folder, the sandbox beside it, and hands to kill with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chaos.machine import QUICK, Machine, started
from tests.chromium import chromium
from tests.flow.browsing import LOOKS


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Start ``up`` in an empty folder; arguments are environment variables."""
    running: list[Machine] = []

    def start(**env: str) -> Machine:
        running.append(started(tmp_path / f"machine-{len(running)}", **env))
        return running[-1]

    yield start
    for made in running:
        made.end()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One ``up`` for a module's tests, with a sandbox that is quick and a budget that is large."""
    made = started(tmp_path_factory.mktemp("quick") / "machine", **QUICK)
    yield made
    made.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open the console of a machine in a browser of one's own, signed in with ``token``, or not yet with none."""
    opened: list[BrowserContext] = []

    def visit(machine: Machine, look: str = "desk", token: str | None = "", **options: object) -> Page:
        scheme, width, height = LOOKS[look]
        context = browser.new_context(
            base_url=str(machine.http.base_url),
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            **options,
        )
        opened.append(context)
        page = context.new_page()
        if token is not None:
            page.goto("/sign-in")
            page.fill("#token", token or machine.http.headers["Authorization"].removeprefix("Bearer "))
            page.click("main button")
            page.wait_for_url("**/")
        return page

    yield visit
    for context in opened:
        context.close()


@pytest.fixture
def balanced() -> Callable[..., None]:
    return check_books


def check_books(machine: Machine, jobs: list[str]) -> None:
    """Hold our books against the sandbox's: every job ended, every short rendered once, every file whole."""
    books = machine.books()
    assert books["unknown_targets"] == 0
    assert books["crashes"] == []
    with machine.redis() as redis:
        due = [member for key in redis.keys("sr:due:*") for member in redis.zrange(key, 0, -1)]
        assert due == []
    for job_id in jobs:
        job = machine.job(job_id)
        assert job["state"] == "finished", json.dumps(job, indent=1)
        started = books["renders_per_short"].get(job_id, {})
        assert len(started) == len(job["renders"]) == len(job["shorts"])
        assert sum(started.values()) == len(started), (job_id, started, job["timeline"])
        for render in job["renders"]:
            theirs = books["renders"][render["render_id"]]
            assert (render["state"], render["sha256"]) == ("kept", theirs["sha256"])
            path = machine.folder / "data" / "artifacts" / "jobs" / job_id / "renders" / f"{render['n']}.mp4"
            assert path.stat().st_size == render["size"] == theirs["file_bytes"]
