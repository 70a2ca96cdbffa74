"""What lies in the image."""

import hashlib
import json
import re
import stat
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image.base import ROOT, quietly

HOME = Path("opt/swiftia-receiver")
_COMPILERS = re.compile(r"(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|ld|as|make|cargo|rustc)(?:-[0-9.]+)?")


def compilers(root: Path) -> list[str]:
    folders = [root / "usr/bin", root / "usr/local/bin", root / HOME / "bin"]
    return sorted(path.name for folder in folders for path in folder.glob("*") if _COMPILERS.fullmatch(path.name))


def components(root: Path) -> dict[str, str]:
    """Read what the bill of materials states: versions by name."""
    bill = json.loads((root / HOME / "sbom.cdx.json").read_text())
    return {canonicalize_name(one["name"]): one["version"] for one in bill["components"]}


def pinned(root: Path) -> dict[str, str]:
    """Read from the lock what has to be there on this platform, under the Python of the image."""
    version = quietly("chroot", root, f"/{HOME}/bin/python", "-c", "import platform as p; print(p.python_version())")
    here = {"python_version": ".".join(version.split(".")[:2]), "python_full_version": version.strip()}
    found = {}
    for line in (ROOT / "requirements/run.txt").read_text().splitlines():
        if re.match(r"[a-z0-9]", line):
            one = Requirement(line.rstrip(" \\"))
            (exactly,) = one.specifier
            if one.marker is None or one.marker.evaluate(here):
                found[canonicalize_name(one.name)] = exactly.version
    return found


def _facts(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        seen = path.lstat()
        content = hashlib.sha256(path.read_bytes()).digest() if stat.S_ISREG(seen.st_mode) else b""
        linked = str(path.readlink()) if path.is_symlink() else ""
        found[str(path.relative_to(root))] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_mtime, linked, content)
    return found


def differing(one: Path, other: Path) -> list[str]:
    """Name what is not the same in both: there or not, mode, owner, time, or content."""
    first, second = _facts(one), _facts(other)
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def revealing(root: Path, wheels: Path) -> list[str]:
    """Name the files that tell from where the packages came: pip's notes of a local file, and its configuration."""
    telling = [*(root / HOME).rglob("*.dist-info/direct_url.json"), *(root / "etc").glob("pip.conf")]
    texts = [*(root / HOME).rglob("*.dist-info/RECORD"), root / HOME / "sbom.cdx.json"]
    telling += [path for path in texts if str(wheels).encode() in path.read_bytes() or b"file://" in path.read_bytes()]
    return [str(path.relative_to(root)) for path in telling]
