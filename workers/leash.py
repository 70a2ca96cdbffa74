"""Ties a child process to the process that started it: when that one is gone, the kernel sends the child SIGTERM.

Linux only (``PR_SET_PDEATHSIG``). Elsewhere the command runs as it is, and outlives a launcher that was killed.
The kernel watches the starting *thread*: start leashed commands from a thread that lives as long as the process.

This file is run by its path in a bare interpreter, so it imports nothing but the standard library, and little of that:
each process of ours begins with it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_LAUNCHER_GONE = 75
_NO_SUCH_COMMAND = 127


def leashed(command: list[str], *, launcher: int | None = None) -> list[str]:
    """Return the command that runs ``command`` until the process ``launcher`` (this one by default) is gone."""
    # Isolated and without site-packages: 20 ms to start, and no module of ours can shadow one of Python's.
    wrapper = [sys.executable, "-I", "-S", os.path.realpath(__file__)]
    return [*wrapper, str(launcher or os.getpid()), "--", *command]


def _ask_for_the_signal() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")


def main(arguments: list[str]) -> int:
    """Become the command. Returns only when that cannot be done."""
    launcher, _, *command = arguments
    if sys.platform == "linux":
        _ask_for_the_signal()
    # A launcher that died before the request above sends no signal any more.
    if os.getppid() != int(launcher):
        return _LAUNCHER_GONE
    # Python ignores these two, and what is ignored stays ignored in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command comes from our own launcher
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]!r}: {error.strerror}\n")
    return _NO_SUCH_COMMAND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
