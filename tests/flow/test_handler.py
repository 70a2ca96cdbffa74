"""A team's own package, installed beside ours: its function is called by a courier in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parent.parent / "handler"


@pytest.mark.slow
def test_the_function_of_an_installed_package_is_called(
    machine: Callable[..., Any], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    folder, ready = tmp_path / "site", tmp_path / "ready.jsonl"
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "acme_videos.py"):
        (source / name).write_text((PACKAGE / name).read_text())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run(  # noqa: S603 - a package of ours
        [*pip, "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder), str(source)], check=True
    )
    running = machine(PYTHONPATH=f"{PACKAGE.parents[1]}:{folder}", ACME_READY=str(ready), SANDBOX_SHORTS="2")
    job = running.submit("handled-0001", metadata={"customer": 7})["id"]
    eventually(lambda: ready.exists() and ready.read_text().count("\n") == 2, timeout=60)
    lines = [json.loads(line) for line in ready.read_text().splitlines()]
    assert {line["customer"] for line in lines} == {7}
    assert {line["file"] for line in lines} == {f"/api/jobs/{job}/renders/{n}/file" for n in (1, 2)}
