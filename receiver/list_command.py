"""``jobs``: list and search."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from receiver.job_commands import connected
from receiver.sightings import printable, read_job
from receiver.table import table
from workers.documents import member
from workers.moments import read_moment
from workers.states import JobState


@click.command(short_help="List jobs, the newest first, or search them.")
@click.argument("text", required=False)
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--since", metavar="TIME", help="Only those known since then: 2026-05-01, 2026-05-01T12:00:00Z.")
@click.option("--until", metavar="TIME", help="Only those known before.")
@click.option("--ref", help="Only the job of this ref.")
@click.option("--function", help="Only those of this function of Swiftia's.")
@click.option("--account", metavar="NAME", help="Only those of this account.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Only those with this in their metadata.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line, as the API gives it.")
@click.option("--url", help="Where the service is; by default http://HOST:PORT of the settings.")
@click.pass_obj
def jobs(
    env: Mapping[str, str],
    /,
    *,
    text: str | None,
    limit: int,
    metadata: tuple[str, ...],
    as_json: bool,
    url: str | None,
    **filters: str | None,
) -> None:
    """List jobs, the newest first.

    With TEXT those that it fits: an id or a ref, key=value of the metadata, else words of the title.
    """
    wanted = {name: value for name, value in {**filters, "q": text}.items() if value is not None}
    for moment in wanted.keys() & {"since", "until"}:
        read_moment(wanted[moment], what=moment)
    for pair in metadata:
        key, sign, value = pair.partition("=")
        if not (key and sign and value):
            raise click.UsageError(f"--metadata {pair!r} is not KEY=VALUE")
        wanted[f"metadata.{key}"] = value
    with connected(env, url) as api:
        found = list(api.jobs(wanted, limit=limit, looked_back=_looked_back))
    if as_json:
        for document in found:
            click.echo(json.dumps(document))
    else:
        click.echo(_listed(found) if found else "no jobs")


def _looked_back(to: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"looked back to {printable(to)}", err=True)


def _listed(found: list[Mapping[str, Any]]) -> str:
    columns, rows = ["id", "state", "done", "videos", "created", "title"], [_row(job) for job in found]
    if any("account" in job for job in found):
        columns.append("account")
        rows = [[*row, printable(member(job, "account"))] for row, job in zip(rows, found, strict=True)]
    return table(columns, rows)


def _row(document: Mapping[str, Any]) -> list[str]:
    job, counts = read_job(document), member(document, "renders")
    videos = f"{member(counts, 'kept') or 0}/{member(counts, 'total')}" if member(counts, "total") else ""
    created = printable(member(document, "created_at"))
    return [job.subject, job.state, f"{job.progress:.0%}", videos, created, f"{job.title} {job.reason}".strip()]
