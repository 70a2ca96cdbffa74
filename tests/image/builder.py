"""buildah with a store of its own, and what it says of an image."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.image.base import BASE, ROOT, quietly


@dataclass(frozen=True)
class Image:
    """``config``: as Docker calls it, with the health check."""

    layers: tuple[str, ...]
    size: str
    config: dict[str, object]

    @property
    def settings(self) -> dict[str, object]:
        return {name: value for name, value in self.config.items() if name != "Hostname"}


class Builder:
    def __init__(self, store: Path) -> None:
        self._store = store
        places = ("--root", store / "root", "--runroot", store / "run")
        self._buildah: tuple[str | Path, ...] = ("buildah", *places, "--storage-driver", "vfs")
        # Once for all builds: a commit that is made meanwhile is no difference of theirs.
        self._when = _written()

    def take_in(self, base: Path, name: str) -> None:
        container = quietly(*self._buildah, "from", "scratch").strip()
        root = quietly(*self._buildah, "mount", container).strip()
        quietly("cp", "--archive", f"{base}/.", root)
        quietly(*self._buildah, "commit", "--rm", "--timestamp", "0", container, name)

    def build(self, name: str, wheels: Path) -> Image:
        options = ("--isolation", "chroot", "--format", "docker", "--no-cache", "--pull-never")
        with _served(wheels) as address:
            # What a person behind an index of their own hands in; it leaves nothing in the image.
            secret = self._store / "pip.conf"
            secret.write_text(f"[global]\nno-index = true\nfind-links = {address}\ntrusted-host = 127.0.0.1\n")
            given = ("--build-arg", f"BASE={BASE}", "--secret", f"id=pip,src={secret}")
            when = ("--timestamp", self._when)
            quietly(*self._buildah, "build", *options, *given, *when, "--tag", name, ROOT)
        return self._read(name)

    def _read(self, name: str) -> Image:
        told = json.loads(quietly(*self._buildah, "inspect", "--type", "image", name))
        size = quietly(*self._buildah, "images", "--format", "{{.Size}}", name).strip()
        return Image(tuple(told["Docker"]["rootfs"]["diff_ids"]), size, told["Docker"]["config"])

    def root(self, name: str) -> Path:
        container = quietly(*self._buildah, "from", "--pull-never", name).strip()
        return Path(quietly(*self._buildah, "mount", container).strip())

    def clear(self) -> None:
        if self._store.exists():
            for words in (("umount", "--all"), ("rm", "--all")):
                subprocess.run([*self._buildah, *words], capture_output=True, check=False)  # noqa: S603
            shutil.rmtree(self._store, ignore_errors=True)


def _written() -> str:
    """When the newest commit was made: every file of the image is as old."""
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607 - whichever git is there
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "0"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
