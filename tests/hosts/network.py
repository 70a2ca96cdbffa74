"""Hosts of our own on this machine: network namespaces at two sites with one cable between them, and an outside.

Each host has two addresses: ``inside``, towards the other hosts, where the cable can be cut, and ``outside``, where it
meets the test, and with it Swiftia and the team's application.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

SITES = ("left", "right")
_OUTSIDE = "outside"


def lacking() -> str:
    """Why there can be no such network here; empty where there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces want root and Debian's iproute2"
    return ""


@dataclass(frozen=True)
class Host:
    name: str
    inside: str
    outside: str
    namespace: str

    def run(self, argv: list[str], *, folder: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a process on this host; it writes to ``<its program>.log`` in ``folder``."""
        with (folder / f"{self.name}.log").open("ab") as log:
            command = ["ip", "netns", "exec", self.namespace, *argv]
            return subprocess.Popen(  # noqa: S603 - our own processes
                command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
            )


@dataclass
class Network:
    """``number`` keeps several of them on one machine apart, from 1 to 250."""

    number: int
    _spaces: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._hub = self._space("hub")
        for bridge in (*SITES, _OUTSIDE):
            _ip(self._hub, "link", "add", bridge, "type", "bridge")
            _ip(self._hub, "link", "set", bridge, "up")
        _ip(self._hub, "link", "add", "cable-left", "type", "veth", "peer", "name", "cable-right")
        for site in SITES:
            _ip(self._hub, "link", "set", f"cable-{site}", "master", site, "up")
        self._root = f"srt{self.number}"
        _ip("", "link", "add", self._root, "type", "veth", "peer", "name", "test", "netns", self._hub)
        _ip(self._hub, "link", "set", "test", "master", _OUTSIDE, "up")
        _ip("", "address", "add", f"{self.gateway}/24", "dev", self._root)
        _ip("", "link", "set", self._root, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for space in self._spaces:
            subprocess.run(["ip", "netns", "delete", space], check=False)  # noqa: S603, S607 - a name of our own
        subprocess.run(["ip", "link", "delete", self._root], check=False, stderr=subprocess.DEVNULL)  # noqa: S603, S607 - as above

    @property
    def gateway(self) -> str:
        """The address of the test."""
        return f"10.220.{self.number}.1"

    @property
    def outside(self) -> str:
        return f"10.220.{self.number}.0/24"

    def host(self, name: str, site: str) -> Host:
        last = 10 + len(self._spaces)
        made = Host(name, f"10.219.{self.number}.{last}", f"10.220.{self.number}.{last}", self._space(name))
        _ip(made.namespace, "link", "set", "lo", "up")
        self._plug(made, "in0", site, made.inside)
        self._plug(made, "out0", _OUTSIDE, made.outside)
        return made

    def cut(self) -> None:
        """Nothing crosses between the sites any more; nobody is told."""
        _ip(self._hub, "link", "set", "cable-left", "down")

    def mend(self) -> None:
        _ip(self._hub, "link", "set", "cable-left", "up")

    def _plug(self, host: Host, device: str, bridge: str, address: str) -> None:
        port = f"{host.name}-{device}"
        _ip(self._hub, "link", "add", port, "type", "veth", "peer", "name", device, "netns", host.namespace)
        _ip(self._hub, "link", "set", port, "master", bridge, "up")
        _ip(host.namespace, "address", "add", f"{address}/24", "dev", device)
        _ip(host.namespace, "link", "set", device, "up")

    def _space(self, name: str) -> str:
        space = f"sr{self.number}-{name}"
        _ip("", "netns", "add", space)
        self._spaces.append(space)
        return space


def _ip(space: str, *words: str) -> None:
    within = ["-netns", space] if space else []
    subprocess.run(["ip", *within, *words], check=True)  # noqa: S603, S607 - names and addresses of our own
