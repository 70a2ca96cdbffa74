"""Waiting that a signal ends at once: for the one loop of a process, in its main thread."""

import contextlib
import select
import signal
import socket
from collections.abc import Iterator

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """``stop_asked``: whether SIGTERM, SIGINT or SIGHUP came."""

    def __init__(self) -> None:
        self.stop_asked = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def wait(self, seconds: float) -> None:
        """Return at the next signal, the end of a child among them, or after ``seconds``."""
        if select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)

    def fileno(self) -> int:
        """Return where a byte written ends a wait."""
        return self._writer.fileno()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def ask_to_stop(self, *_: object) -> None:
        self.stop_asked = True


@contextlib.contextmanager
def listening() -> Iterator[Signals]:
    """Handle the signals for the length of a ``with`` block; what was before is put back."""
    signals = Signals()
    # The byte is written the moment a signal comes, so none gets lost between a look at the children and the wait.
    wakeup = signal.set_wakeup_fd(signals.fileno(), warn_on_full_buffer=False)
    before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGCHLD)}
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in _STOPPING:
        # nohup means it: what is ignored stays ignored.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, signals.ask_to_stop)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        signals.close()
