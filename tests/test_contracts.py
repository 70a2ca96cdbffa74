"""The import contracts of pyproject.toml can fail: one that cannot guards nothing."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

EDGE = "the HTTP edge stands above the service, never below"
FRAMEWORKS = "the service runs without a web framework or a command line"
LAYERS = "inside the service, imports point downwards"
PURE = "pure modules see no clock, chance, file, network or queue"
STEPS = "steps reach Redis, the queue and the network through what they are handed"
SANDBOX = "the sandbox is a stranger: only commands start it"


def contracts() -> dict[str, dict[str, list[str]]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {contract["name"]: contract for contract in project["tool"]["importlinter"]["contracts"]}


PLANTED = [
    (EDGE, "workers.steps.fetch", "receiver.table"),
    (FRAMEWORKS, "workers.attempts", "flask"),
    (FRAMEWORKS, "workers.logs", "rich"),
    (LAYERS, "workers.ledger", "workers.attempts"),
    (LAYERS, "workers.budget", "workers.ledger"),
    (LAYERS, "workers.renders", "workers.settings"),
    (LAYERS, "workers.sandbox.api", "workers.documents"),
    (PURE, "workers.errors", "redis"),
    (PURE, "workers.paths", "pathlib"),
    (PURE, "workers.results", "time"),
    (PURE, "workers.schedule", "random"),
    (STEPS, "workers.steps.watch", "redis"),
    (STEPS, "workers.steps.render", "httpx2"),
    (SANDBOX, "workers.wiring", "workers.sandbox"),
    (SANDBOX, "receiver.door", "workers.sandbox.config"),
]
UNPLACED = "odds_and_ends"


def complaints(tree: Path) -> dict[str, str]:
    """What the linter says of each contract that is broken in ``tree``."""
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(  # noqa: S603 - the linter of this environment
        [LINT_IMPORTS, "--no-cache"], cwd=tree, env=wide, capture_output=True, text=True, check=False
    )
    assert " broken." in done.stdout, done.stdout + done.stderr
    parts = re.split(r"(?m)^(.+)\n-{20,}$", done.stdout.partition("Broken contracts")[2])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tree")
    for package in ("receiver", "workers"):
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__", "*.mp4"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


@pytest.fixture(scope="module")
def found(tree: Path) -> dict[str, str]:
    """The complaints about a tree with every import of PLANTED in it."""
    for _, importer, imported in PLANTED:
        with (tree / f"{importer.replace('.', '/')}.py").open("a") as module:
            module.write(f"\nimport {imported}\n")
    (tree / "workers" / f"{UNPLACED}.py").touch()
    return complaints(tree)


def test_every_contract_is_kept():
    assert complaints(ROOT) == {}


@pytest.mark.parametrize(("contract", "importer", "imported"), PLANTED)
def test_a_planted_import_breaks_its_contract(found, contract, importer, imported):
    assert re.search(rf"\b{re.escape(f'{importer} -> {imported}')}\b", found[contract]), found[contract]


def test_a_new_module_must_have_its_place(found):
    assert f"workers.{UNPLACED}" in found[LAYERS]


def test_every_contract_is_tried():
    assert set(contracts()) == {contract for contract, _, _ in PLANTED}


def test_the_pure_layer_and_the_pure_contract_name_the_same_modules():
    (row,) = (layer for layer in contracts()[LAYERS]["layers"] if ":" in layer)
    # Planning is made of them, stands above them, and is as pure.
    names = sorted([*row.split(" : "), "errors", "planning"])
    assert [f"workers.{name}" for name in names] == contracts()[PURE]["source_modules"]
