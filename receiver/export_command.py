"""``export``: one job as a zip file."""

from collections.abc import Mapping
from pathlib import Path

import click

from receiver.export import export as write
from receiver.job_commands import connected
from receiver.sightings import printable
from workers.documents import member, text
from workers.identifiers import is_job_id


@click.command(short_help="Write one job with its files to a zip.")
@click.argument("job_id")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; by default <job_id>.zip here.")
@click.option("--url", help="Where the service is; by default http://HOST:PORT of the settings.")
@click.pass_obj
def export(env: Mapping[str, str], *, job_id: str, out: Path | None, url: str | None) -> None:
    """Write a job to a zip file: job.json, result.json, callbacks as received, videos, and a manifest.json.

    The manifest has the SHA-256 of each. Every video is held against the hash that the service has of it.
    """
    with connected(env, url) as api:
        document = api.job_document(job_id)
        name = text(member(document, "id", "ref")) or ""
        path = out or Path(f"{name if is_job_id(name) else 'job'}.zip")
        count = write(api, document, path)
    click.echo(f"{count} files in {printable(str(path), limit=4096)}")
