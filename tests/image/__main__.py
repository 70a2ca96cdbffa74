"""``make prove-image``: build the image twice, compare, look into it, and carry a job through its roles. Needs root.

Wants three packages of Debian: ``apt install buildah debootstrap runc``. It installs nothing by itself, asks no
registry of images, and leaves nothing: the base is made here (a minimal Debian with Python), all else lies in a folder
that goes away. The locked packages are fetched once, by their hashes; both builds get them from this machine.

The base is not the one that ``docker build`` takes: its size and its Python are other ones. What is shown is that the
Dockerfile is sound, that it builds the same twice, and that what it builds does its work shut in.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.image.base import BASE, fetched, made, quietly
from tests.image.builder import Builder
from tests.image.inside import compilers, components, differing, pinned, revealing
from tests.image.roles import Roles

NEEDED = ("buildah", "debootstrap", "runc")


class Table:
    def __init__(self) -> None:
        self.rows: list[tuple[bool, str, str]] = []

    def add(self, title: str, *, passed: bool, told: object = "") -> None:
        self.rows.append((passed, title, str(told)))
        sys.stdout.write(f"{'pass' if passed else 'FAIL'}  {title:<58}{told}\n")
        sys.stdout.flush()

    @property
    def failed(self) -> bool:
        return not all(passed for passed, *_ in self.rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make prove-image", description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, help="a root file system made by an earlier run with --keep-base")
    parser.add_argument("--keep-base", type=Path, metavar="FOLDER", help="keep it there for the next run")
    parser.add_argument("--suite", default="bookworm", help="Debian's release (default: bookworm)")
    chosen = parser.parse_args()
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        sys.stdout.write(f"missing: {', '.join(missing)}; apt install buildah debootstrap runc\n")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="prove-image-"))
    table = Table()
    try:
        base = chosen.base or timed(table, "a base by debootstrap", lambda: made(folder / "base", chosen.suite))
        if chosen.keep_base and not chosen.base:
            # Not by shutil, which reads a device such as /dev/full as if it were a file, and without end.
            quietly("cp", "--archive", base, chosen.keep_base)
        prove(folder, base, table)
    finally:
        Builder(folder / "storage").clear()
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write("\n" + ("not all of it holds\n" if table.failed else "all of it holds\n"))
    return 1 if table.failed else 0


def timed(table: Table, title: str, work: Callable[[], Path]) -> Path:
    began = time.monotonic()
    done = work()
    table.add(title, passed=True, told=f"{time.monotonic() - began:.0f} s")
    return done


def prove(folder: Path, base: Path, table: Table) -> None:
    builder = Builder(folder / "storage")
    builder.take_in(base, BASE)
    wheels = timed(table, "locked packages, by their hashes", lambda: fetched(folder / "wheels", base))
    images = []
    for name in ("first", "second"):
        began = time.monotonic()
        images.append(builder.build(name, wheels))
        told = f"{images[-1].size}, {time.monotonic() - began:.0f} s"
        table.add(f"the Dockerfile builds: {name}", passed=True, told=told)
    first, second = images
    same = sum(a == b for a, b in zip(first.layers, second.layers, strict=True))
    root, other = builder.root("first"), builder.root("second")
    told = f"{same} of {len(first.layers)} {' '.join(differing(root, other)[:8])}"
    table.add("both have the same layers", passed=same == len(first.layers), told=told)
    # Not by the images' ids: buildah writes the name of the container that it built in into each.
    table.add("both are set alike", passed=first.settings == second.settings)
    found = compilers(root)
    table.add("no compiler in it", passed=not found, told=", ".join(found))
    stated, wanted = components(root), pinned(root)
    wrong = sorted(name for name in wanted if stated.get(name) != wanted[name])
    table.add("its SBOM names each locked package, and its version", passed=not wrong, told=wrong or len(wanted))
    table.add("no file tells of this machine", passed=not (shown := revealing(root, wheels)), told=", ".join(shown))
    with Roles(folder / "run", root, first) as roles:
        for title, passed, told in roles.prove():
            table.add(title, passed=passed, told=told)


if __name__ == "__main__":
    sys.exit(main())
