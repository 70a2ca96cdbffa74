"""One job as a zip file: what the API tells of it, its result, callbacks as received, videos, and a manifest."""

import contextlib
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

from receiver.api_client import Api, Refused
from workers.documents import member, objects, text, whole
from workers.errors import DownloadFailed, InvalidInput

MANIFEST: Final = "manifest.json"
_RECEIPT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the job: where it goes in the zip, where it comes from, and its hash where the job tells it."""

    name: str
    path: str
    sha256: str | None = None


def parts(document: object) -> Iterator[Part]:
    """Yield what there is to be had of a job, by what the API says of it."""
    subject = text(member(document, "id", "ref")) or ""
    base = f"/api/jobs/{quote(subject, safe='')}"
    yield Part("result.json", f"{base}/result")
    for callback in objects(document, "callbacks"):
        receipt = text(member(callback, "receipt")) or ""
        if _RECEIPT.fullmatch(receipt):
            yield Part(f"callbacks/{receipt}", f"{base}/callbacks/{receipt}")
    for render in objects(document, "renders"):
        n = whole(member(render, "n"))
        if n is not None and member(render, "file") is not None:
            yield Part(f"renders/{n}.mp4", f"{base}/renders/{n}/file", text(member(render, "sha256")))


def export(api: Api, document: object, out: Path) -> int:
    """Write a job to ``out``, which is there whole or not at all. Answers how many files are in it.

    ``document``: what the API says of the job.

    Raises ``InvalidInput`` if ``out`` is there already or cannot be written, and ``DownloadFailed`` where a hash is not
    that of the job, or what was written cannot be read back.
    """
    if out.exists():
        raise InvalidInput(f"{out} is there already; name another file with --out, or remove it")
    unfinished = out.with_name(f"{out.name}.part")
    try:
        with unfinished.open("wb") as file:
            entries = _write(api, document, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED))
        _verify(unfinished, entries)
        unfinished.replace(out)
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror or error}; name another --out") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return len(entries) + 1


Entries = list[dict[str, object]]


def _write(api: Api, document: object, archive: zipfile.ZipFile) -> Entries:
    with archive:
        entries = [_add(archive, "job.json", [json.dumps(document, indent=2).encode()])]
        for part in parts(document):
            with contextlib.suppress(_Missing), _opened(api, part.path) as pieces:
                entries.append(_add(archive, part.name, pieces, sha256=part.sha256))
        manifest = {"job": member(document, "id"), "ref": member(document, "ref"), "files": entries}
        _add(archive, MANIFEST, [json.dumps(manifest, indent=2).encode()])
    return entries


class _Missing(Exception):
    """The service keeps no such file: no result as yet, or a callback whose body was not kept."""


@contextlib.contextmanager
def _opened(api: Api, path: str) -> Iterator[Iterator[bytes]]:
    with contextlib.ExitStack() as held:
        try:
            pieces = held.enter_context(api.file(path))
        except Refused as error:
            if error.values.get("status") == HTTPStatus.NOT_FOUND:
                raise _Missing from None
            raise
        yield pieces


def _add(
    archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes], *, sha256: str | None = None
) -> dict[str, object]:
    entry = zipfile.ZipInfo(name)  # without a date: the same job gives the same file
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".mp4") else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(entry, "w", force_zip64=True) as into:
        for piece in pieces:
            into.write(piece)
            digest.update(piece)
            size += len(piece)
    found = digest.hexdigest()
    if sha256 is not None and found != sha256:
        raise DownloadFailed(
            f"{name} has the SHA-256 {found} and should have {sha256}; try again, and check STORAGE_URL"
        )
    return {"path": name, "size": size, "sha256": found}


def _verify(path: Path, entries: Entries) -> None:
    """Read back what was written, as whoever gets it will."""
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = [entry["path"] for entry in entries if _digest(archive, str(entry["path"])) != entry["sha256"]]
    except zipfile.BadZipFile as error:
        raise DownloadFailed(f"what was written cannot be read back ({error}); check the disk") from None
    if wrong:
        raise DownloadFailed(f"{wrong[0]} is not what was written; check the disk")


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
