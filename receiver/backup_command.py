"""``backup`` and ``restore``: everything that is known here, in one file, and back."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from redis import Redis, RedisError

from receiver.exits import FAILED
from workers.artifacts import Artifacts
from workers.backup import Backup
from workers.backupreader import Began
from workers.connections import worker_redis
from workers.keyring import open_keyring
from workers.places import redis_url, spool_path, valkey_directory
from workers.proof import Proof
from workers.restore import Restore
from workers.restoremark import RestoreMark
from workers.settings import Settings
from workers.spool import Spool
from workers.valkey import EmbeddedValkey

_FILE = click.Path(path_type=Path, dir_okay=False)
_FINGERPRINT = 16
_DIFFERS = (
    "This is not all that is in the backup, and the service will not start on it. "
    "See that nothing of it runs, and repeat this with --replace."
)
_FILES_ARE_ABSENT = (
    "The ledger is what it was. Some of its files are not here: bring them along, or see to STORAGE_URL."
)


@click.command(short_help="Write everything that is known here into one file.")
@click.argument("file", type=_FILE)
@click.option("--files", is_flag=True, help="Take results, callback bodies and videos along, where they lie on a disk.")
@click.pass_obj
def backup(env: Mapping[str, str], *, file: Path, files: bool) -> None:
    """Write the ledger, this machine's spool and the list of kept files into FILE, while the service runs or not.

    Each job is in it as it stood at one moment, with what is due. The secrets in DATA_DIR are not; the file is readable
    for its owner alone, as it holds what customers have sent. What was there under that name stays until the new one is
    whole.
    """
    settings = Settings.from_env(env)
    with _redis(settings) as redis:
        RestoreMark(redis, settings.data_dir).refuse()
        facts = {"callback_keys": _fingerprints(settings)}
        root = _artifacts(settings).local_root()
        counts = Backup(redis, _spool(settings), files=root, facts=facts).write(file.absolute(), with_files=files)
    size = file.stat().st_size
    click.echo(f"{file}: {size} bytes, {counts['jobs']} jobs, {counts['in the spool']} callbacks of the spool,")
    click.echo(f"{counts['files']} files {'with what is in them' if files else 'by name, size and SHA-256'}")


@click.command(short_help="Put a backup back, and prove that it is.")
@click.argument("file", type=_FILE)
@click.option("--replace", is_flag=True, help="Remove the ledger that is here first. It is lost.")
@click.pass_obj
def restore(env: Mapping[str, str], *, file: Path, replace: bool) -> None:
    """Put back what `backup` wrote into FILE, and compare everything with it. The service must be stopped.

    What was due goes on when the service starts. What was done after the backup was made is not known to it: a render
    that was planned then, and started since, is started once more. Ends with 1 if anything is not as it is in FILE.
    Where it is cut off nothing starts on what is there: repeat it with --replace.
    """
    settings = Settings.from_env(env)
    with _redis(settings) as redis:
        mark = RestoreMark(redis, settings.data_dir)
        job = Restore(redis, _spool(settings), _artifacts(settings), file.absolute(), mark)
        began = job.look()
        proof = job.run(replace=replace)
    for line in _table(proof):
        click.echo(line)
    _warn_of_keys(settings, began)
    if not proof.holds:
        click.echo(_FILES_ARE_ABSENT if proof.ledger_holds else _DIFFERS, err=True)
        sys.exit(FAILED)


def _table(proof: Proof) -> Iterator[str]:
    yield f"{'':16} {'in the backup':>13} {'here':>10}"
    for row in proof.rows:
        yield f"{row.what:16} {row.in_backup:13} {row.here:10}{'' if row.in_backup == row.here else '  differs'}"
    yield f"{proof.compared} jobs and submissions read back; those that differ: {', '.join(proof.differing) or 'none'}"


def _warn_of_keys(settings: Settings, began: Began) -> None:
    if not set(began.facts.get("callback_keys", ())) & set(_fingerprints(settings)):
        click.echo(
            "No CALLBACK_KEYS of this installation is one of the backup's: the callback URLs that were given out then "
            "are refused here. Bring DATA_DIR/callback-key along, or add the old key behind the new one.",
            err=True,
        )


def _fingerprints(settings: Settings) -> list[str]:
    keys = open_keyring(settings).callback_secrets()
    return [hashlib.sha256(b"swiftia-receiver backup " + key.encode()).hexdigest()[:_FINGERPRINT] for key in keys]


def _artifacts(settings: Settings) -> Artifacts:
    return Artifacts.open(settings.artifacts_url, staging=settings.staging)


def _spool(settings: Settings) -> Spool:
    return Spool(spool_path(settings), max_bytes=settings.spool_max_bytes)


@contextmanager
def _redis(settings: Settings) -> Iterator[Redis]:
    """The Redis that was named, or the embedded server, which is started if nobody has."""
    server = None
    if settings.redis_url is None and not _answers(redis_url(settings)):
        server = EmbeddedValkey(valkey_directory(settings))
        server.start()
    try:
        with worker_redis(redis_url(settings)) as redis:
            yield redis
    finally:
        if server is not None:
            server.stop()


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as redis:
            return bool(redis.ping())
    except RedisError:
        return False
