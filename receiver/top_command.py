"""``top``: what goes on, live on a terminal, or once for a pipe."""

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

import click
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from receiver.api_client import Api
from receiver.job_commands import connected
from receiver.table import table
from receiver.watchtower import Budget, Latest, Sight, look
from workers.errors import TemporaryError

_BACK_MS: Final = 300_000
_HANDS: Final = 12
_LEAST_EVENTS: Final = 5
_TAKEN: Final = 26  # lines above the events
_STATES: Final = {"finished": "green", "failed": "red", "parked": "bold red", "rendering": "cyan", "fetching": "cyan"}


@click.command(short_help="Show what goes on, live: jobs, budget, who waits, workers, spool, latest events.")
@click.option("--once", is_flag=True, help="Print it once, as plain text, and end; so does a pipe.")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, help="Seconds.")
@click.option("--url", help="Where the service is; by default http://HOST:PORT of the settings.")
@click.pass_obj
def top(env: Mapping[str, str], *, once: bool, interval: float, url: str | None) -> None:
    """Show what goes on, until you press Ctrl-C. It asks the API, so the service may run anywhere."""
    with connected(env, url) as api:
        if once or not sys.stdout.isatty():
            click.echo(plain(look(api)))
            return
        with connected(env, url) as listening:
            _live(api, listening, interval)


def _live(api: Api, listening: Api, interval: float) -> None:
    latest = Latest()
    since = int(time.time() * 1000) - _BACK_MS
    heard = threading.Thread(target=latest.listen, args=(lambda: listening.changes(since),), daemon=True)
    heard.start()
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            lines = latest.last(max(_LEAST_EVENTS, shutil.get_terminal_size().lines - _TAKEN))
            try:
                live.update(drawn(look(api), lines, api.url), refresh=True)
            except TemporaryError as error:
                live.update(Panel(Text(error.message, style="red"), title="not reached"), refresh=True)
            time.sleep(interval)


def plain(sight: Sight) -> str:
    """For pipes: tables of text, one after the other."""
    late = {name: f"{seconds:.0f} s" for name, seconds in sight.late_s.items() if seconds > 0}
    parts = [
        table(["state", "jobs"], [[name, str(count)] for name, count in sight.jobs.items()]),
        table(["class", "due", "late"], [[name, str(count), late.get(name, "")] for name, count in sight.due.items()]),
        table(
            ["account", "used", "limit", "window", "waiting", "pause"],
            [
                [one.account or "-", str(one.used), str(one.limit), f"{one.window_s:g} s", _waits(one), _pause(one)]
                for one in sight.budgets
            ],
        ),
        table(["worker", "lane", "doing"], [[hand.where, hand.lane, hand.doing or "-"] for hand in sight.hands]),
        table(["what", "how"], [[what, how] for what, how in _facts(sight)]),
    ]
    return "\n\n".join(parts if sight.redis else parts[-1:])


def drawn(sight: Sight, events: list[str], where: str) -> RenderableType:
    """For a terminal."""
    top_row = Columns([_panel("jobs", _jobs(sight)), _panel("due", _due(sight)), _panel("service", _service(sight))])
    return Group(
        Text(f"swiftia-receiver at {where}", style="bold"),
        top_row if sight.redis else _panel("service", _service(sight)),
        _panel("budget", Group(*map(_bar, sight.budgets))) if sight.budgets else Text(""),
        _panel(f"workers ({sight.workers})", _hands(sight)),
        _panel(
            "latest", Text("\n".join(events) or "nothing in the last five minutes", no_wrap=True, overflow="ellipsis")
        ),
    )


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="dim")


def _grid(rows: list[tuple[str, str, str]]) -> Table:
    # Text, not markup: brackets from outside are brackets.
    grid = Table.grid(padding=(0, 2))
    for name, value, style in rows:
        grid.add_row(Text(name), Text(value, style=style, justify="right"))
    return grid


def _jobs(sight: Sight) -> Table:
    return _grid(
        [(name, f"{count:,}", _STATES.get(name, "") if count else "dim") for name, count in sight.jobs.items()]
    )


def _due(sight: Sight) -> Table:
    rows = []
    for name, count in sight.due.items():
        late = sight.late_s.get(name, 0)
        rows.append((name, f"{count:,}" + (f"  {late:.0f} s late" if late >= 1 else ""), "" if count else "dim"))
    return _grid(rows)


def _service(sight: Sight) -> Table:
    return _grid([(what, how, "red" if how.startswith(("away", "never")) else "") for what, how in _facts(sight)])


def _facts(sight: Sight) -> list[tuple[str, str]]:
    passed = {lane: "never" if age is None else f"{age:.1f} s ago" for lane, age in sight.clock.items()}
    return [
        ("Redis", "takes writes" if sight.redis else "away: callbacks go to the spool"),
        *((f"clock, {lane}", how) for lane, how in passed.items()),
        *((f"queued, {lane}", str(count)) for lane, count in sight.queued.items()),
        ("spool", "not readable" if sight.spool is None else f"{sight.spool} callbacks"),
        ("parked deliveries", str(sight.parked_deliveries)),
    ]


def _bar(one: Budget) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(one.limit, 1), completed=min(one.used, one.limit), width=30)
    used = f"{one.used} of {one.limit} in {one.window_s:g} s"
    row.add_row(Text(one.account or "all"), bar, Text(used), Text(_waits(one)), Text(_pause(one), style="red"))
    return row


def _waits(one: Budget) -> str:
    return " ".join(f"{name}:{count}" for name, count in one.waiting.items() if count) or "nobody waits"


def _pause(one: Budget) -> str:
    return f"{one.pause_s:.0f} s ({one.reason})" if one.pause_s else ""


def _hands(sight: Sight) -> RenderableType:
    if not sight.hands:
        return Text("none", style="red")
    rows = Table.grid(padding=(0, 2))
    busy = sorted(sight.hands, key=lambda hand: not hand.doing)
    for hand in busy[:_HANDS]:
        rows.add_row(Text(hand.where), Text(hand.lane), Text(hand.doing or "waits", style="" if hand.doing else "dim"))
    if len(busy) > _HANDS:
        rows.add_row(Text(f"and {len(busy) - _HANDS} more", style="dim"))
    return rows
