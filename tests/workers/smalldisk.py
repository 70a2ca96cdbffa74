"""A disk that a test can really fill."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, size: int, options: str = "") -> Iterator[Path]:
    """Give a disk of ``size`` bytes; skip without leave to make one. ``options``: more of tmpfs."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700{options}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:  # noqa: S603 - a folder of our own
        pytest.skip("only root can make a disk that is small enough to fill")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - a folder of our own


@contextmanager
def filled(folder: Path, *, leaving: int = 0) -> Iterator[None]:
    """Leave no more than so many bytes free on the disk of ``folder``, whoever else writes there now."""
    stuff = folder / "stuff"
    with stuff.open("wb") as file:
        while (more := free(folder) - leaving) > 0:
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)
    try:
        yield
    finally:
        stuff.unlink()


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
