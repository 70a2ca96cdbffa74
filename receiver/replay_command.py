"""``replay``: send a kept callback, as it was received, to another address, and tell the answer."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import httpx2

from receiver.api_client import Api
from receiver.exits import FAILED, NotRunning
from receiver.job_commands import connected
from receiver.sightings import printable
from workers.documents import member, parse_json, text
from workers.errors import InvalidInput, NotFound
from workers.signing import parse_secret, sign

_TIMEOUT_S: Final = 30.0
_SHOWN: Final = 2000
_LONGEST: Final = 64 << 20


@click.command(short_help="Send a kept callback of a job to a URL, as it was received.")
@click.argument("job_id")
@click.argument("target")
@click.option("--receipt", help="Which callback; by default the last one that was not a repetition.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Send this header too; repeat it.")
@click.option(
    "--sign-with",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a whsec_ secret: sign it as Standard Webhooks says.",
)
@click.option("--url", help="Where the service is; by default http://HOST:PORT of the settings.")
@click.pass_obj
def replay(
    env: Mapping[str, str],
    *,
    job_id: str,
    target: str,
    receipt: str | None,
    headers: tuple[str, ...],
    sign_with: Path | None,
    url: str | None,
) -> None:
    """POST the body of a callback that was kept for JOB_ID to the URL TARGET, and print what that answers.

    Ends with 0 for an answer of 2xx, else with 1. TARGET may be any address, this machine too. A redirect is shown, and
    not followed.
    """
    given = _read(headers)
    with connected(env, url) as api:
        receipt = receipt or _last_receipt(api, job_id)
        body = _body(api, job_id, receipt)
    sent = {"Content-Type": _type_of(body), "User-Agent": "swiftia-receiver-replay", **given}
    if sign_with is not None:
        secret = parse_secret(sign_with.read_text(encoding="utf-8").strip())
        sent |= sign(body, event_id=f"replay-{receipt}", at=int(time.time()), secrets=[secret])
    answer, seconds = _post(target, body, sent)
    click.echo(f"{len(body)} bytes of callback {printable(receipt)} sent")
    click.echo(f"{answer.status_code} {printable(answer.reason_phrase)} after {seconds * 1000:.0f} ms")
    said = printable(answer.text.replace("\n", " "), limit=_SHOWN)
    if said:
        click.echo(said)
    if not answer.is_success:
        sys.exit(FAILED)


def _last_receipt(api: Api, job_id: str) -> str:
    found = member(api.job_document(job_id), "callbacks")
    callbacks = found if isinstance(found, list) else []
    receipts = [text(member(one, "receipt")) for one in callbacks if member(one, "duplicate") is not True]
    if not receipts or not receipts[-1]:
        raise NotFound("no callback of that job is kept")
    return receipts[-1]


def _body(api: Api, job_id: str, receipt: str) -> bytes:
    with api.file(api.callback_path(job_id, receipt)) as pieces:
        body = b""
        for piece in pieces:
            body += piece
            if len(body) > _LONGEST:
                raise InvalidInput("the callback is too large to be sent again")
    return body


def _type_of(body: bytes) -> str:
    try:
        parse_json(body, what="the callback")
    except InvalidInput:
        return "application/octet-stream"
    return "application/json"


def _read(headers: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header {header[:60]!r} is not NAME:VALUE")
        found[name.strip()] = value.strip()
    return found


def _post(target: str, body: bytes, headers: Mapping[str, str]) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    try:
        with httpx2.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = client.post(target, content=body, headers=dict(headers))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotRunning(f"nothing answers at {printable(target)} ({type(error).__name__})") from None
    except (ValueError, UnicodeError) as error:
        raise InvalidInput(f"this cannot be sent: {error}") from None
    return answer, time.monotonic() - began
