"""``explain-signature``: why a callback's token or signature is refused. Asks nobody: it needs no running service."""

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import click

from receiver.exits import FAILED
from workers.diagnosis import Verdict, of_signature, of_token
from workers.errors import InvalidInput
from workers.moments import read_moment
from workers.settings import Settings
from workers.signing import parse_secret

_LONGEST: Final = 64 << 20
_File: Final = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command("explain-signature", short_help="Say why a callback's token or signature is refused, offline.")
@click.argument("token", required=False)
@click.option("--body", type=_File, help="The body as it was received, byte by byte; - reads standard input.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of the request; repeat it.")
@click.option("--headers", "header_file", type=_File, help="A file with a header a line.")
@click.option("--key-file", type=_File, help="Callback keys, one a line, newest first, in place of the settings'.")
@click.option("--secret-file", type=_File, help="whsec_ secrets, one a line, in place of WEBHOOK_SIGNING_SECRETS.")
@click.option("--at", metavar="TIME", help="When it was received; by default now.")
@click.pass_obj
def explain_signature(
    env: Mapping[str, str],
    *,
    token: str | None,
    body: Path | None,
    headers: tuple[str, ...],
    header_file: Path | None,
    key_file: Path | None,
    secret_file: Path | None,
    at: str | None,
) -> None:
    """Say why the door refuses a callback, or that it does not.

    TOKEN is a callback URL, or the token at its end. With --body and headers the Standard Webhooks signature of the
    request is looked at. Keys and secrets are those of the settings; none of them is ever printed.

    Ends with 0 if all that was given is right, with 1 if something is refused.
    """
    signed = body is not None or headers or header_file is not None
    if token is None and not signed:
        raise click.UsageError("give a callback URL or token, or --body and the headers of a request")
    verdicts: dict[str, Verdict] = {}
    if token is not None:
        verdicts["token"] = of_token(token, _lines(key_file) if key_file else _callback_keys(env))
    if signed:
        texts = _lines(secret_file) if secret_file else _signing_secrets(env)
        verdicts["signature"] = of_signature(
            _bytes(body) if body else b"",
            _read_headers([*headers, *(_lines(header_file) if header_file else ())]),
            [parse_secret(text) for text in texts],
            now=read_moment(at, what="--at") / 1000 if at else time.time(),
            texts=texts,
        )
    for what, verdict in verdicts.items():
        click.echo(f"{what}: {'accepted' if verdict.accepted else 'refused'}")
        for line in verdict.lines:
            click.echo(f"  {line}")
    if not all(verdict.accepted for verdict in verdicts.values()):
        sys.exit(FAILED)


def _callback_keys(env: Mapping[str, str]) -> list[str]:
    settings = Settings.from_env(env)
    kept = settings.data_dir / "callback-key"  # not made here, as a service that starts would do
    given = [key.get_secret_value() for key in settings.callback_keys]
    return given or (_lines(kept) if kept.is_file() else [])


def _signing_secrets(env: Mapping[str, str]) -> list[str]:
    return [secret.get_secret_value() for secret in Settings.from_env(env).webhook_signing_secrets]


def _read_headers(lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidInput("a header is written NAME:VALUE", got=line[:60])
        found[name.strip()] = value.strip()
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = _bytes(path).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no text") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _bytes(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(_LONGEST)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
