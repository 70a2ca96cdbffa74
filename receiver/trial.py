"""The whole service with the sandbox, started beside whatever runs already: own folder, own ports, own log."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from receiver.api_client import Api, admin_token
from receiver.asking import ask
from receiver.launch import command
from workers.errors import PermanentError
from workers.leash import leashed
from workers.settings import Settings

_START_S: Final = 90.0
_STOP_S: Final = 90.0
_POLL_S: Final = 0.1
_LAST_LINES: Final = 8


class TrialFailed(PermanentError): ...


class Trial:
    """Used with ``with``: started when it begins, stopped in order when it ends. Raises TrialFailed.

    ``env``: where it runs; every variable of ours in it is left out, so that no real key can come in. ``chosen``: those
    that count instead.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        self.folder = folder.absolute()
        self.log_path = self.folder / "up.log"
        port, sandbox_port = free_ports(2)
        places = {"DATA_DIR": str(self.folder), "PORT": str(port), "SANDBOX_PORT": str(sandbox_port)}
        # A few small films, on whatever machine.
        places["MIN_FREE_BYTES"] = "16M"
        self._env = {**foreign(env), **chosen, **places}
        self.settings = Settings.from_env(self._env)
        self._up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            # Leashed and in a session of its own: it is stopped by us or by our end, not by Ctrl-C beside us.
            self._up = subprocess.Popen(  # noqa: S603 - the command is our own
                leashed(command("up")),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._up)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def api(self) -> Api:
        return Api(self.settings.own_url, admin_token(self.settings))

    def _wait_until_ready(self, up: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_S
        while ask(self.settings, "/readyz") != 200:  # noqa: PLR2004 - the status
            if up.poll() is not None or time.monotonic() > deadline:
                raise TrialFailed(f"the service did not start; {self.log_path} ends with:\n{self._last_words()}")
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])

    def stop(self) -> None:
        """Stop everything in order; raise TrialFailed if that takes too long or ends badly."""
        if self._up is None:
            return
        up, self._up = self._up, None
        up.send_signal(signal.SIGTERM)
        try:
            code = up.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()
            raise TrialFailed(f"the service did not stop within {_STOP_S:g} s; see {self.log_path}") from None
        if code != 0:
            raise TrialFailed(f"the service ended with code {code}; {self.log_path} ends with:\n{self._last_words()}")


def foreign(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are none of ours."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in env.items() if name not in ours and not name.startswith("SANDBOX_")}


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on now, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
