"""What the image is built from, made on this machine: a minimal Debian with Python, and the locked packages."""

import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

BASE = "localhost/prove-image-base:local"
ROOT = Path(__file__).parent.parent.parent
LOCKS = ("run", "build", "sbom")


def made(folder: Path, suite: str) -> Path:
    """Make the root file system. It answers to ``python``, as the images of Python do."""
    packages = "--include=python3,python3-venv,ca-certificates"
    quietly("debootstrap", "--variant=minbase", packages, suite, folder)
    (folder / "usr/bin/python").symlink_to("python3")
    quietly("chroot", folder, "apt-get", "clean")
    return folder


def fetched(folder: Path, base: Path) -> Path:
    """Download what the locks name for the Python of the base, which need not be the one that runs this."""
    told = quietly("chroot", base, "python", "-c", "import platform; print(platform.python_version())").strip()
    here = {"python_version": ".".join(told.split(".")[:2]), "python_full_version": told}
    folder.mkdir()
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(_chosen(lock, here) for lock in LOCKS))
    options = ("--no-deps", "--python-version", here["python_version"], "--only-binary", ":all:", "--require-hashes")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download")
    quietly(*pip, *options, "--dest", folder, "-r", wanted)
    return folder


def _chosen(lock: str, here: dict[str, str]) -> str:
    """Return the entries for such a Python, without the words that say so: pip would ask the one it runs in."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    found = []
    for entry in text.splitlines():
        words, option, hashes = entry.partition("--hash")
        one = Requirement(words)
        if one.marker is None or one.marker.evaluate(here):
            found.append(f"{one.name}{one.specifier} {option}{hashes}\n")
    return "".join(found)


def quietly(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.stdout.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise SystemExit(f"{' '.join(map(str, words))} ended with {done.returncode}")
    return done.stdout
