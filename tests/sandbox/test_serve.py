"""The sandbox as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers import sandbox


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_a_signal(number, anyone):
    env = {**os.environ, "SANDBOX_PORT": "0", "SANDBOX_API_KEY": "k"}
    command = [sys.executable, "-m", "workers.sandbox"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        line = process.stderr.readline()
        url = re.search(r"http://\S+", line)[0]
        status = anyone.get(url).status_code
        process.send_signal(number)
        process.communicate(timeout=20)

    assert (status, process.returncode) == (200, 0)


def test_a_bad_setting_is_explained():
    env = {**os.environ, "SANDBOX_PROT": "1"}
    command = [sys.executable, "-m", "workers.sandbox"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own module

    assert done.returncode == 2
    assert "SANDBOX_PROT is not a setting of the sandbox; did you mean SANDBOX_PORT?" in done.stderr


def test_the_map_of_the_package_names_every_module():
    modules = {path.stem for path in Path(sandbox.__file__).parent.glob("*.py")} - {"__init__", "__main__"}

    assert modules - set(re.findall(r"\w+", sandbox.__doc__)) == set()
