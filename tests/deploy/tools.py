"""What the tests of deploy/ ask: missing at home they are skipped, in CI they fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_OWN = Path(sys.prefix) / "deploy" / "bin"


def tool(name: str, fix: str) -> str:
    """Find a program in the environment of ``make .venv/.deploy``, else on the PATH."""
    own = _OWN / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"there is no {name}; {fix}")
    if found is None:
        pytest.skip(f"there is no {name}; {fix}")
    return found


def locked_tool(name: str) -> str:
    """Find one that ``requirements/deploy.txt`` brings, and no other of the same name."""
    if not (_OWN / name).exists() and not os.environ.get("CI"):
        pytest.skip(f"there is no {name} of requirements/deploy.txt; make .venv/.deploy")
    assert (_OWN / name).exists(), "make .venv/.deploy"
    return str(_OWN / name)


def told(*words: str | Path, text: str = "") -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
