"""What no file of the repository may hold."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Put together here, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home)/", re.MULTILINE)
HOSTS = [
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("proxy", "golang", "org"),
        ("static", "crates", "io"),
        ("docker", "io"),
        ("ghcr", "io"),
    )
]
LEFT_OVER = re.compile("|".join(rf"\b{first}{second}\b" for first, second in (("TO", "DO"), ("FIX", "ME"))))
CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)", re.MULTILINE)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file that is committed, or is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whichever git is there
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"git cannot list the files: {listed.stderr.decode()}")
        pytest.skip("not a git checkout")
    found = {}
    for name in listed.stdout.decode().split("\0"):
        data = (ROOT / name).read_bytes() if name and (ROOT / name).is_file() else b""
        if data and b"\0" not in data:
            found[name] = data.decode()
    assert found
    return found


def lines_with(texts: dict[str, str], found: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        for name, text in texts.items()
        for match in found.finditer(text)
    ]


def test_no_path_of_somebodys_machine(texts):
    assert lines_with(texts, MACHINE_PATH) == []


def test_no_host_of_a_package_registry(texts):
    assert lines_with(texts, re.compile("|".join(re.escape(host) for host in HOSTS), re.IGNORECASE)) == []


def test_no_conflict_left_in_a_file(texts):
    assert lines_with(texts, CONFLICT) == []


def test_no_word_for_work_put_off(texts):
    assert lines_with(texts, LEFT_OVER) == []


def test_no_environment_file_but_the_example(texts):
    assert {name for name in texts if name.endswith(".env")} <= {"deploy/example.env"}


def test_no_line_ends_in_a_blank(texts):
    ours = {name: text for name, text in texts.items() if not name.startswith("tests/samples/")}
    assert lines_with(ours, re.compile(r"[ \t\r]+$", re.MULTILINE)) == []
    assert [name for name, text in ours.items() if not text.endswith("\n")] == []


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_can_be_run(script):
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)  # noqa: S603, S607 - our own script


def test_the_license_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
