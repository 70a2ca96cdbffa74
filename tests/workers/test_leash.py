import os
import signal
import subprocess
import sys

from workers.leash import leashed


def run(command, **options):
    return subprocess.run(command, capture_output=True, check=False, **options)  # noqa: S603 - commands of these tests


def test_the_command_replaces_the_wrapper_and_keeps_its_exit_code():
    command = leashed(["sh", "-c", "echo $$; exit 7"])
    shell = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - a command of this test
    said, _ = shell.communicate()
    assert int(said) == shell.pid
    assert shell.returncode == 7


def test_a_missing_command_says_so():
    ended = run(leashed(["/no/such/command"]))
    assert ended.returncode == 127
    assert ended.stderr == b"cannot run '/no/such/command': No such file or directory\n"


def test_nothing_runs_for_a_launcher_that_is_gone():
    ended = run(leashed(["echo", "ran"], launcher=2**22 - 1))
    assert (ended.returncode, ended.stdout) == (75, b"")


def test_the_command_gets_the_signals_python_ignores():
    ignored = int(run(leashed(["grep", "SigIgn", "/proc/self/status"])).stdout.split()[1], 16)
    assert ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_the_environment_and_open_descriptors_pass_through():
    reader, writer = os.pipe()
    try:
        code = f"import os; os.write({writer}, os.environb[b'COLOUR'])"
        run(leashed([sys.executable, "-c", code]), env={"COLOUR": "blue"}, pass_fds=[writer])
        os.set_blocking(reader, False)
        assert os.read(reader, 10) == b"blue"
    finally:
        os.close(reader)
        os.close(writer)


def test_it_works_in_any_folder_and_beside_modules_named_like_pythons(tmp_path):
    (tmp_path / "signal.py").write_text("raise SystemExit('shadowed')")
    ended = run(leashed(["echo", "ran"]), cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": os.defpath})
    assert (ended.stdout, ended.stderr) == (b"ran\n", b"")
