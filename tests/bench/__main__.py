"""``make bench-budget``: what a request is worth, ours beside five ways of polling, on the same work in the same run.

Real processes against the sandbox. Time runs faster there, and the allowance with it; our own floors and what a step
costs do not, which is to our disadvantage. Every contestant has a sandbox of its own and gets the same draws.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import against_plan
from tests.bench.held import held
from tests.bench.polling import EachAlone, Pause, Poller, exponential, fixed
from tests.chaos.machine import Machine, prepared
from tests.chaos.recovery import percentile
from workers.limits import parse_rate_limit
from workers.sandbox import Sandbox, SandboxConfig

MEDIAN_S, TAIL = 75.0, 0.9  # from 30 s to 10 minutes


@dataclass(frozen=True)
class Work:
    """``allowed``: requests a second. ``minutes``: how long it is watched. ``scale``: how much faster time runs.

    ``at_once``: so many contestants run side by side.
    """

    title: str
    jobs: int
    shorts: int
    allowed: int
    minutes: float
    scale: float
    at_once: int

    @property
    def seconds(self) -> float:
        return self.minutes * 60 / self.scale

    @property
    def limit(self) -> str:
        return f"{round(self.allowed * self.scale)}/1s"


@dataclass(frozen=True)
class Score:
    """Seconds are those of a world whose time runs as ours. ``late``: from done upstream to noticed, by render."""

    name: str
    requests: int
    jobs: int
    looks: list[int]
    late: list[float]
    took: list[float]

    @property
    def mean_looks(self) -> float:
        return statistics.fmean(self.looks) if self.looks else float("nan")

    @property
    def mean_late(self) -> float:
        return statistics.fmean(self.late) if self.late else float("nan")

    def row(self, ours: "Score") -> list[str]:
        return [
            self.name,
            f"{self.mean_looks:.2f}",
            f"{self.requests / max(self.jobs, 1):.1f}",
            f"{self.mean_late:.1f}",
            f"{percentile(self.late, 0.5):.1f}",
            f"{percentile(self.late, 0.95):.1f}",
            f"{self.mean_late / statistics.fmean(self.took or [float('nan')]):.1%}",
            f"{self.jobs}",
            *(f"{ratio:.2f}" for ratio in self.ratios(ours).values()),
        ]

    def ratios(self, ours: "Score") -> dict[str, float]:
        """Ours by this one's: below 1 is better for looks and lateness, above 1 for jobs."""
        return {
            "looks": ours.mean_looks / self.mean_looks,
            "late": ours.mean_late / self.mean_late if self.mean_late else float("nan"),
            "jobs": ours.jobs / self.jobs if self.jobs else float("nan"),
        }


HEADS = ["", "looks", "requests/job", "late mean s", "p50", "p95", "of its time", "jobs ended"]
HEADS += ["ours : this, looks", "late", "jobs"]


def config(work: Work) -> SandboxConfig:
    return SandboxConfig(
        port=0,
        seed="bench",
        dialect="g3",
        webhook_bodies="whole",
        rate_limit=work.limit,
        shorts=work.shorts,
        job_seconds=0,
        queue_seconds=0,
        render_seconds=MEDIAN_S,
        render_tail=TAIL,
        time_scale=1 / work.scale,
        film_bytes="20000-20000",
    )


def polled(work: Work, name: str, pause: Pause, kind: type[Poller] = Poller) -> Score:
    with Sandbox(config(work)) as sandbox:
        poller = kind(sandbox.url, parse_rate_limit(work.limit), pause)
        poller.run(work.jobs, work.seconds)
        return score(name, sandbox.books(hashes=False), poller.seen, poller.looks, work)


def score(name: str, books: dict[str, Any], seen: dict[str, float], looks: dict[str, int], work: Work) -> Score:
    renders = books["renders"]
    done: dict[str, int] = {}
    for render in seen:
        done[renders[render]["job"]] = done.get(renders[render]["job"], 0) + 1
    return Score(
        name,
        requests=sum(sum(endings.values()) for route, endings in books["requests"].items() if " /api/" in route),
        jobs=sum(count == work.shorts for count in done.values()),
        looks=[looks[render] for render in seen],
        late=[(seen[render] - renders[render]["ends_at"]) * work.scale for render in seen],
        took=[(renders[render]["ends_at"] - renders[render]["created_at"]) * work.scale for render in seen],
    )


@contextlib.contextmanager
def service(work: Work) -> Iterator[tuple[Machine, Sandbox]]:
    with Sandbox(config(work)) as sandbox, tempfile.TemporaryDirectory() as folder:
        machine = prepared(
            Path(folder) / "bench",
            SWIFTIA_API_KEY="sandbox-key",
            SWIFTIA_BASE_URL=sandbox.url,
            SWIFTIA_RATE_LIMIT=sandbox.config.rate_limit,
            SANDBOX_PORT=sandbox.url.rsplit(":", 1)[1],
            KEEP_VIDEOS="false",
        )
        machine.start()
        yield machine, sandbox
        machine.end()


def ours(work: Work) -> Score:
    with service(work) as (machine, sandbox):
        over = time.monotonic() + work.seconds
        # Queued, as the pollers' submissions are: the receiver spends the allowance as it sees fit.
        for number in range(work.jobs):
            answer = machine.http.post(
                "/api/jobs",
                json={"functionName": "VideoShorts", "youtubeVideoId": f"polled-{number:04}"},
                headers={"Prefer": "respond-async"},
            )
            answer.raise_for_status()
        while time.monotonic() < over and not machine.all_settled(work.jobs):
            time.sleep(0.5)
        books = sandbox.books(hashes=False)
        seen, looks = noticed(machine, books)
        return score("swiftia-receiver", books, seen, looks, work)


def noticed(machine: Machine, books: dict[str, Any]) -> tuple[dict[str, float], dict[str, int]]:
    """Read from the ledger when each render was noticed, and after how many looks."""
    seen: dict[str, float] = {}
    with machine.redis() as redis:
        for job in books["jobs"]:
            for render in held(redis, job).renders:
                if b"render_id" in render and render[b"state"] in (b"done", b"kept", b"keeping"):
                    seen[render[b"render_id"].decode()] = int(render[b"updated"]) / 1000
    return seen, {render: row["polls"] for render, row in books["renders"].items()}


def main() -> int:
    asked = arguments()
    if asked.plan:
        return against_plan.main()
    works = [
        Work("40 jobs of 5 shorts, 5 requests a second", 40, 5, 5, minutes=26, scale=2, at_once=7),
        Work("200 jobs of 10 shorts in flight, 1 request a second", 200, 10, 1, minutes=60, scale=8, at_once=4),
    ]
    if asked.quick:
        works = [replace(each, title=f"10 jobs, else as: {each.title}", jobs=10, minutes=12, scale=8) for each in works]
    chosen = works[asked.work - 1 : asked.work] if asked.work else works[:1] if asked.quick else works
    found = []
    for work in chosen:
        scores = contest(work)
        show(work, scores)
        found.append(raw(work, scores))
    path = asked.json or Path("bench-results") / f"looks-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cpus": os.cpu_count(), "works": found}) + "\n")
    sys.stdout.write(f"\nraw numbers: {path}\n")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-budget")
    parser.add_argument("--quick", action="store_true", help="10 jobs, a minute and a half")
    parser.add_argument("--work", type=int, choices=(1, 2), help="this one alone")
    parser.add_argument("--json", type=Path, help="where the raw numbers go; by default a new file in bench-results")
    parser.add_argument(
        "--plan", action="store_true", help="hold what `swiftia-receiver plan` says against the service"
    )
    return parser.parse_args()


def contest(work: Work) -> list[Score]:
    """Ours first."""
    pauses = {
        "every 30 s": fixed(30 / work.scale),
        "every 5 s": fixed(5 / work.scale),
        "every 2 s": fixed(2 / work.scale),
        "2 s, then doubled to 60 s": exponential(2 / work.scale, 60 / work.scale),
    }
    with ThreadPoolExecutor(work.at_once) as pool:
        own = pool.submit(ours, work)
        others = [pool.submit(polled, work, name, pause) for name, pause in pauses.items()]
        others.append(pool.submit(polled, work, "every 30 s, each job alone", fixed(30 / work.scale), EachAlone))
        return [own.result(), *(each.result() for each in others)]


def raw(work: Work, scores: list[Score]) -> dict[str, Any]:
    """Every render's looks and lateness; the ratios are those that are shown, where there is one."""
    ratios = {score.name: score.ratios(scores[0]) for score in scores[1:]}
    known = {name: {key: each for key, each in row.items() if math.isfinite(each)} for name, row in ratios.items()}
    return {"work": asdict(work), "scores": [asdict(score) for score in scores], "ours_by_theirs": known}


def show(work: Work, scores: list[Score]) -> None:
    sys.stdout.write(f"\n{work.title}; renders of 30 s to 10 minutes, half of them under {MEDIAN_S:.0f} s; ")
    sys.stdout.write(f"{work.minutes:.0f} minutes in {work.seconds:.0f} s\n")
    rows = [HEADS, *(each.row(scores[0]) for each in scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        sys.stdout.write("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
