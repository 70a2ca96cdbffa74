"""What the pages load besides themselves: a stylesheet, a few modules of script and an icon, all from ``static/``.

Their address holds a digest of all of them, so that a browser may keep them for good and a new version is new at once.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from flask import Response, request

from workers.errors import NotFound

PATH: Final = "/assets"
_STATIC: Final = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
# Of another version, while an old and a new one run side by side: what there is, and not to be kept.
_FOR_NOW: Final = "no-store"


class Assets:
    """``base``: the address that their names follow."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {name: (data, gzip.compress(data, mtime=0)) for name, data in files.items()}
        told = [hashlib.sha256(name.encode() + b"\0" + data).digest() for name, data in sorted(files.items())]
        self.version = hashlib.sha256(b"".join(told)).hexdigest()[:16]
        self.base = f"{PATH}/{self.version}"

    def give(self, version: str, file: str) -> Response:
        if file not in self._files:
            raise NotFound("there is no such part of a page; reload the page")
        plain, packed = self._files[file]
        headers = {
            "Cache-Control": _FOR_GOOD if version == self.version else _FOR_NOW,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Vary": "Accept-Encoding",
        }
        if request.accept_encodings["gzip"] > 0:
            plain, headers["Content-Encoding"] = packed, "gzip"
        return Response(plain, headers=headers, content_type=_TYPES[Path(file).suffix])


@cache
def every_asset() -> Assets:
    """Read once in a process."""
    return Assets({path.name: path.read_bytes() for path in sorted(_STATIC.iterdir()) if path.suffix in _TYPES})
