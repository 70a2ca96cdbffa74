"""One container, run by runc as Docker would: user 10001, no capability, nothing writable but two places."""

import json
import os
import subprocess
import time
from pathlib import Path

USER = 10001


def _bundle(root: Path, data: Path, args: list[str], env: dict[str, str]) -> dict[str, object]:
    def mount(where: str, kind: str, *options: str, source: str = "") -> dict[str, object]:
        return {"destination": where, "type": kind, "source": source or kind, "options": ["nosuid", *options]}

    return {
        "ociVersion": "1.0.2",
        "hostname": "receiver",
        "process": {
            "user": {"uid": USER, "gid": USER},
            "args": args,
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": "/data",
            "noNewPrivileges": True,
            "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            mount("/proc", "proc", "noexec", "nodev"),
            mount("/dev", "tmpfs", "mode=755", "size=65536k"),
            mount("/dev/shm", "tmpfs", "nodev", "noexec", "mode=1777", "size=65536k"),  # noqa: S108 - of the container
            mount("/tmp", "tmpfs", "nodev", "mode=1777", "size=65536k"),  # noqa: S108 - of the container
            mount("/data", "bind", "rbind", "rw", source=str(data)),
        ],
        # The network is this machine's: the roles find each other on its loopback.
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }


class Container:
    def __init__(
        self, name: str, folder: Path, *, root: Path, data: Path, args: list[str], env: dict[str, str]
    ) -> None:
        self.name = f"{folder.parent.name}-{name}"
        self._folder = folder / "containers" / name
        self._folder.mkdir(parents=True)
        (self._folder / "config.json").write_text(json.dumps(_bundle(root, data, args, env)))
        self.log = self._folder / "log"
        self._runc = ("runc", "--root", str(folder / "runc"))
        with self.log.open("wb") as out:
            words = [*self._runc, "run", "--bundle", str(self._folder), self.name]
            self._process = subprocess.Popen(words, stdout=out, stderr=out)  # noqa: S603

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def exec(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._runc, "exec", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    def wait(self, timeout: float) -> int | None:
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, patience: float) -> tuple[int | None, float]:
        """Send SIGTERM; return the exit code, None where it had to be killed, and the seconds it took."""
        began = time.monotonic()
        subprocess.run([*self._runc, "kill", self.name, "TERM"], capture_output=True, check=False)  # noqa: S603
        code = self.wait(patience)
        took = time.monotonic() - began
        self.kill()
        return code, took

    def kill(self) -> None:
        subprocess.run([*self._runc, "delete", "--force", self.name], capture_output=True, check=False)  # noqa: S603
        if self.running:
            self._process.kill()
        self._process.wait()


def owned(folder: Path) -> Path:
    folder.mkdir(parents=True)
    os.chown(folder, USER, USER)
    folder.chmod(0o700)
    return folder


def last_lines(path: Path, count: int = 5) -> str:
    return " / ".join(path.read_text(errors="replace").splitlines()[-count:])
