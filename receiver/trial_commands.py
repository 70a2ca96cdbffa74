"""The commands that show it at work, and how fast it is, in a service of their own."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from receiver import benchmark, progress
from receiver import demo as demonstration
from receiver.exits import FAILED
from receiver.table import size_text, table
from receiver.trial import Trial

Env = Mapping[str, str]


@click.command(short_help="Show the whole chain with five jobs.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="By default a new folder under ./data-demo.")
@click.pass_obj
def demo(env: Env, *, data_dir: Path | None) -> None:
    """Show the whole chain with five jobs of the sandbox, and check the videos that come home.

    Runs beside a service that is up already, on ports of its own. Ends with 0 only if all five jobs are finished and
    every video is there, has the stated size and hash and begins like an MP4.
    """
    folder = data_dir or Path("data-demo") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with Trial(folder, env, demonstration.CHOSEN) as trial:
        click.echo(f"{trial.settings.own_url} runs against the sandbox; its log is {trial.log_path}")
        jobs = demonstration.run(trial, sys.stdout)
    found = demonstration.videos(jobs, trial.folder / "artifacts")
    rows = [[str(video.path), size_text(video.size), video.sha256] for video in found]
    click.echo(table(["video", "size", "sha256"], rows))
    faults = demonstration.faults(jobs, found)
    for fault in faults:
        click.echo(f"WRONG: {fault}", err=True)
    if faults:
        sys.exit(FAILED)
    click.echo(f"{len(jobs)} jobs finished, {len(found)} videos checked, everything stopped")


@click.command(short_help="Measure from callback to kept result.")
@click.option("--jobs", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=Path("bench-results"), show_default=True)
@click.pass_obj
def bench(env: Env, *, jobs: int, results: Path) -> None:
    """Measure the time from a callback to what is kept, with the sandbox, in a service of its own.

    First jobs one by one on an idle service, without renders; then as many at once, with all their renders; beside it
    what a finished job costs in Redis. Writes the raw numbers to a file in --results. Ends with 1 if a job is not
    finished or could not be measured.
    """
    at = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with TemporaryDirectory(prefix="swiftia-bench-") as folder, Trial(Path(folder), env, benchmark.CHOSEN) as trial:
        board = progress.Lines(sys.stderr)
        idle = benchmark.one_by_one(trial, jobs, board)
        before = benchmark.ledger_bytes(trial)
        crowd = benchmark.at_once(trial, jobs, board)
        each = round((benchmark.ledger_bytes(trial) - before) / jobs)
    parts = {"idle": benchmark.summary(idle), "at_once": benchmark.summary(crowd), "redis_bytes_per_job": each}
    summary = {"at": at, "settings": benchmark.CHOSEN, "cpus": os.cpu_count(), **parts}
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"callback-to-kept-{at}.json"
    path.write_text(json.dumps(summary, indent=2) + "\n")
    click.echo(json.dumps(benchmark.without_raw(summary), indent=2))
    click.echo(f"raw numbers: {path}")
    if any(one.kept_s is None or one.state != "finished" for one in [*idle, *crowd]):
        sys.exit(FAILED)
