"""Watching jobs until they are settled: live bars on a terminal, a line for each change anywhere else."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from receiver.sightings import JobSighting
from workers.errors import TemporaryError

_EVERY_S: Final = 0.3
_PATIENCE_S: Final = 60.0
_COLORS: Final = {"finished": "green", "kept": "green", "done": "green", "failed": "red", "parked": "red"}


class Board(Protocol):
    """Shows jobs for the length of a ``with`` block."""

    def show(self, jobs: Sequence[JobSighting]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def board(out: TextIO) -> Board:
    return Bars(Console(file=out)) if out.isatty() else Lines(out)


def follow(
    look: Callable[[], Sequence[JobSighting]],
    shown: Board,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
    every_s: float = _EVERY_S,
) -> list[JobSighting]:
    """Look again and again until every job is settled, and return how they stand.

    A restart of the service meanwhile is sat out for a minute; then its TemporaryError is raised.
    """
    answered = now()
    while True:
        try:
            jobs = list(look())
        except TemporaryError:
            if now() - answered > _PATIENCE_S:
                raise
        else:
            answered = now()
            shown.show(jobs)
            if all(job.settled for job in jobs):
                return jobs
        sleep(every_s)


class Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, jobs: Sequence[JobSighting]) -> None:
        for job in jobs:
            name = job.ref or job.job_id
            for render in job.renders:
                self._say(f"{name}/{render.n}", f"{job.subject}/{render.n} {render.state} {render.reason}")
            self._say(name, job.summary() if job.settled else f"{job.subject} {job.state}")

    def _say(self, key: str, words: str) -> None:
        if self._said.get(key) != words:
            self._said[key] = words
            self._out.write(words.rstrip() + "\n")
            self._out.flush()


class Bars:
    """One bar for a job and one for each of its renders."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, jobs: Sequence[JobSighting]) -> None:
        rows = Table.grid(padding=(0, 1))
        for job in jobs:
            _row(rows, f"{job.subject[:24]} {job.title}", job.progress, job.state, job.reason)
            for render in job.renders:
                _row(rows, f"  {render.n} {render.short}", render.progress, render.state, render.reason)
        self._live.update(rows)


def _row(rows: Table, label: str, done: float, state: str, reason: str) -> None:
    # Text, not markup: brackets in a title are brackets.
    rows.add_row(
        Text(label.rstrip(), no_wrap=True, overflow="ellipsis"),
        ProgressBar(total=1.0, completed=done, width=30, complete_style="cyan", finished_style="green"),
        Text(f"{done:4.0%}"),
        Text(f"{state} {reason}".rstrip(), style=_COLORS.get(state, "")),
    )
