"""The command that examines an installation."""

import sys
from collections.abc import Mapping

import click

from receiver.doctor import examine
from receiver.exits import FAILED
from receiver.findings import BAD, OK, WARN
from receiver.sightings import printable

_COLORS = {OK: "green", WARN: "yellow", BAD: "red"}


@click.command(short_help="Examine everything; say what to mend.")
@click.pass_obj
def check(env: Mapping[str, str]) -> None:
    """Examine settings, Redis, clock, workers, web, Swiftia's key, public URL and storage.

    Each finding says how to mend what is wrong. Spends one request of each account at Swiftia. Ends with 1 if anything
    is bad.
    """
    bad = 0
    for finding in examine(env):
        bad += finding.level == BAD
        fix = f" -> {finding.fix}" if finding.fix else ""
        mark = click.style(f"{finding.level:4}", fg=_COLORS[finding.level])
        click.echo(f"{mark}  {finding.what:11}  {printable(finding.found + fix, limit=1000)}")
    if bad:
        sys.exit(FAILED)
