"""The lock files: everything that is installed is pinned by its hash, and says nothing of where it came from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: Path) -> list[str]:
    """Each requirement with what belongs to it, on one line; comments are left out."""
    lines = [line for line in lock.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def pins(lock: Path) -> dict[str, Requirement]:
    found = [Requirement(entry.partition("--hash")[0]) for entry in entries(lock)]
    return {canonicalize_name(one.name): one for one in found}


def version(pin: Requirement) -> str:
    (one,) = pin.specifier
    return one.version


def wanted(name: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    groups = {"run": run, **extras, **project["dependency-groups"]}
    more = {"tracing": run, "dev": [*run, *extras["tracing"]]}.get(name, [])
    return [Requirement(text) for text in (*groups[name], *more)]


def test_there_is_a_lock_for_each_group():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert [lock.stem for lock in LOCKS] == sorted(["run", *extras, *project["dependency-groups"]])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_entry_is_one_version_with_hashes_and_nothing_else(lock):
    for entry in entries(lock):
        pin = Requirement(entry.partition("--hash")[0])
        assert [one.operator for one in pin.specifier] == ["=="], entry
        assert pin.url is None
        hashes = entry[entry.index("--hash") :].split()
        assert hashes
        assert all(HASH.fullmatch(one) for one in hashes), entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_address_and_no_option(lock):
    text = lock.read_text()
    assert "://" not in text
    options = re.findall(r"(?m)^ *(-[a-z-]+)", text)
    assert set(options) == {"--hash"}, "options of pip belong to the Makefile"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_it_is_up_to_date(lock):
    locked = pins(lock)
    for one in wanted(lock.stem):
        name = canonicalize_name(one.name)
        assert name in locked, f"{one} is not locked: make lock"
        assert one.specifier.contains(version(locked[name]), prereleases=True), f"{one} has changed: make lock"


def test_what_is_tested_is_what_runs():
    dev = pins(ROOT / "requirements" / "dev.txt")
    for lock in ("run", "tracing"):
        found = pins(ROOT / "requirements" / f"{lock}.txt")
        assert {name: version(pin) for name, pin in found.items()} == {name: version(dev[name]) for name in found}
