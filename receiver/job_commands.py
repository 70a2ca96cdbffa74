"""The commands that ask the running service, over its HTTP API."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from receiver import progress
from receiver.api_client import Api, admin_token
from receiver.exits import FAILED
from receiver.order import order
from receiver.sightings import JobSighting, printable, read_job
from receiver.table import size_text, table
from workers.documents import member, objects
from workers.errors import InvalidInput
from workers.settings import Settings

Env = Mapping[str, str]
_url = click.option("--url", help="Where the service is; by default http://HOST:PORT of the settings.")


@contextlib.contextmanager
def connected(env: Env, url: str | None) -> Iterator[Api]:
    settings = Settings.from_env(env)
    with contextlib.closing(Api(url or settings.own_url, admin_token(settings))) as api:
        yield api


@click.command(short_help="Submit a job, and wait for it with --wait.")
@click.argument("video")
@click.option("--function", default="VideoShorts", show_default=True, help="Swiftia's function.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="For Swiftia; a.b=1 nests, JSON is read.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Your own words, kept with the job.")
@click.option("--no-render", is_flag=True, help="Fetch the result, but render nothing.")
@click.option("--async", "queued", is_flag=True, help="Do not wait for the request budget: queue it.")
@click.option("--idempotency-key", metavar="KEY", help="The same key and job again submit nothing twice.")
@click.option("--account", metavar="NAME", help="One of SWIFTIA_ACCOUNTS; needed where it is not clear.")
@click.option("--wait", is_flag=True, help="Show the progress until the job is settled.")
@click.option("--dry-run", is_flag=True, help="Look it over and print what would be sent to Swiftia; submit nothing.")
@_url
@click.pass_obj
def submit(
    env: Env,
    *,
    video: str,
    function: str,
    options: tuple[str, ...],
    metadata: tuple[str, ...],
    no_render: bool,
    queued: bool,
    idempotency_key: str | None,
    account: str | None,
    wait: bool,
    dry_run: bool,
    url: str | None,
) -> None:
    """Submit a job for VIDEO: a YouTube id or address, or the http(s) address of a video file.

    Prints the job's id. With --wait it ends with 0 when the job is finished, with 1 when it failed or was parked.
    Put -- before an id that begins with a dash.
    """
    body = order(video, function=function, options=options, metadata=metadata, render=not no_render)
    body |= {"account": account} if account else {}
    with connected(env, url) as api:
        answer = api.submitted(body, idempotency_key=idempotency_key, wait=not queued, dry_run=dry_run)
        notes = member(answer, "notes")
        for note in notes if isinstance(notes, list) else ():
            click.echo(f"note: {printable(note, limit=1000)}", err=True)
        if member(answer, "dry_run") is True:
            click.echo("nothing was submitted: this was a dry run, which would have sent", err=True)
            click.echo(json.dumps(member(answer, "request"), indent=2))
            return
        job = read_job(answer)
        click.echo(job.subject)
        if wait:
            _wait(api, job)


def _wait(api: Api, job: JobSighting) -> None:
    with progress.board(sys.stderr) as shown:
        (ended,) = progress.follow(lambda: [api.job(job.subject)], shown)
    click.echo(ended.summary())
    if not ended.finished:
        sys.exit(FAILED)


@click.command("callback-url", short_help="Print a URL for a job that you submit yourself.")
@click.option("--shared", is_flag=True, help="The one fixed URL, for any job; callbacks must then carry the job's id.")
@click.option("--account", metavar="NAME", help="Whose key you submit with, one of SWIFTIA_ACCOUNTS.")
@_url
@click.pass_obj
def callback_url(env: Env, *, shared: bool, account: str | None, url: str | None) -> None:
    """Print a fresh callback URL for a job that you submit to Swiftia yourself."""
    with connected(env, url) as api:
        click.echo(api.callback_url(shared=shared, account=account))


@click.command(short_help="Show all that is known of a job.")
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="The whole answer of the API.")
@_url
@click.pass_obj
def show(env: Env, *, job_id: str, as_json: bool, url: str | None) -> None:
    """Show a job, by its id or its ref: state, videos, callbacks, timeline."""
    with connected(env, url) as api:
        document = api.job_document(job_id)
    click.echo(json.dumps(document, indent=2) if as_json else _described(document))


def _described(document: object) -> str:
    job = read_job(document)
    names = ("ref", "account", "title", "function", "upstream_status", "cost", "created_at", "updated_at")
    facts = [[name, printable(str(value))] for name in names if (value := member(document, name)) is not None]
    renders = [
        [str(one.n), one.state, f"{one.progress:.0%}", size_text(one.size), one.sha256, one.short, one.reason]
        for one in job.renders
    ]
    parts = [job.summary(), table(["fact", "value"], facts)]
    if renders:
        parts.append(table(["video", "state", "done", "size", "sha256", "short", "reason"], renders))
    told = [
        _named(one, "n", "event", "state", "attempts", "last_status", "next_at", "reason")
        for one in objects(document, "deliveries")
    ]
    if told:
        parts.append(table(["delivery", "event", "state", "tries", "status", "next try", "reason"], told))
    callbacks = [_named(one, "receipt", "at", "from", "size", "duplicate") for one in objects(document, "callbacks")]
    if callbacks:
        parts.append(table(["callback", "at", "from", "size", "duplicate"], callbacks))
    events = [[*_named(one, "at", "event"), _rest(one)] for one in objects(document, "timeline")]
    if events:
        parts.append(table(["at", "event", "what"], events))
    return "\n\n".join(parts)


def _named(item: Mapping[str, Any], *names: str) -> list[str]:
    return [printable(str(item[name])) if item.get(name) is not None else "" for name in names]


def _rest(event: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in event.items() if name not in ("at", "event") and value is not None}
    return printable(" ".join(f"{name}={value}" for name, value in rest.items()))


@click.command(short_help="Set parked or failed jobs going again.")
@click.argument("job_id", required=False)
@click.option("--all-parked", is_flag=True, help="Every parked job.")
@click.option("--all-failed", is_flag=True, help="Every failed job.")
@click.option("--delivery", type=click.IntRange(1), help="Send this delivery of the job again, and nothing else.")
@_url
@click.pass_obj
def retry(
    env: Env, *, job_id: str | None, all_parked: bool, all_failed: bool, delivery: int | None, url: str | None
) -> None:
    """Set a parked or failed job going again, its parked and failed renders with it."""
    if [job_id is not None, all_parked, all_failed].count(True) != 1:
        raise click.UsageError("give a job's id, or --all-parked, or --all-failed")
    if delivery is not None and job_id is None:
        raise click.UsageError("--delivery is one of a job: give the job's id too")
    with connected(env, url) as api:
        if job_id is None:
            going = api.retry_all("parked" if all_parked else "failed")
        elif delivery is None:
            going = api.retry(job_id)
        else:
            going = api.redeliver(job_id, delivery)
    click.echo(f"{going} set going again (jobs, renders of jobs, or deliveries)")


@click.command(short_help="Erase every trace of a job here.")
@click.argument("job_id")
@click.option("--yes", is_flag=True, help="Do not ask. Nothing that is erased here comes back.")
@_url
@click.pass_obj
def erase(env: Env, *, job_id: str, yes: bool, url: str | None) -> None:
    """Erase every trace of a job here: record, callbacks, result, videos. Nothing changes at Swiftia."""
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Erase everything kept of {printable(job_id)}?")):
        raise InvalidInput("nothing is erased without --yes")
    with connected(env, url) as api:
        api.erase(job_id)
    click.echo(f"erased {printable(job_id)}")
