"""Open pages of the console, in a process of their own: each does what ``receiver/static/live.js`` does, unseen.

``python -m tests.bench.pages PORT TOKEN JOB [NUMBER]`` opens so many, says so with a line, and on the end of its input
closes them and writes how many looks there were, by page, and how long they took: ``{"/": {"looks": 12, "ms": 8.1}}``.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.chaos.machine import ROOT

EACH_S = 0.2  # as live.js has it
# Of ten pages that are open.
MIX = ("/", "/jobs", "job", "/", "/jobs", "/workers", "/", "job", "/jobs", "/")
_TOLD = re.compile(r'<main id="main"[^>]*>')
_SAID = re.compile(r'data-([a-z]+)="([^"]*)"')


@contextlib.contextmanager
def open_pages(port: int, token: str, job: str, number: int) -> Iterator[None]:
    """In a process of their own, which gives way to everybody: those of readers run on machines of their own."""
    command = [sys.executable, "-m", "tests.bench.pages", str(port), token, job, str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 - ours
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield
        said, _ = process.communicate()
        sys.stdout.write(f"{number} pages: {said}")


@dataclass
class Site:
    """``took``: seconds of each look, by page."""

    port: int
    cookie: str = ""
    took: dict[str, list[float]] = field(default_factory=dict)

    async def sign_in(self, token: str) -> None:
        head, _ = await self._asked("POST", "/sign-in", urlencode({"token": token, "next": "/"}).encode())
        self.cookie = re.findall(r"(?mi)^set-cookie: ([^;]+)", head)[0]

    async def page(self, address: str) -> dict[str, str]:
        """What the page says of itself, by the names of live.js."""
        began = time.perf_counter()
        head, body = await self._asked("GET", address)
        self.took.setdefault(address, []).append(time.perf_counter() - began)
        assert " 200 " in head, head
        return dict(_SAID.findall(_TOLD.findall(body)[0]))

    async def stream(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self._sent("GET", address, keep=True)

    async def _asked(self, method: str, address: str, body: bytes = b"") -> tuple[str, str]:
        reader, writer = await self._sent(method, address, body)
        head, _, rest = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return head, rest

    async def _sent(
        self, method: str, address: str, body: bytes = b"", *, keep: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        host = f"127.0.0.1:{self.port}"
        head = [f"{method} {address} HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", f"Cookie: {self.cookie}",
                "Accept: text/html", f"Connection: {'keep-alive' if keep else 'close'}"]  # fmt: skip
        if body:
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        return reader, writer


class Page:
    def __init__(self, site: Site, address: str) -> None:
        self._site = site
        self._address = address
        self._news = asyncio.Event()
        self.open = asyncio.Event()

    async def live(self) -> None:
        told = await self._site.page(self._address)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(told))
            await self.open.wait()
            looked = float("-inf")
            while True:
                await self._heard(float(told.get("beat", "0")) or None)
                every = float(told.get("every", "1"))
                later = min(every, EACH_S * float(told.get("crowd", "0"))) * random.random()  # noqa: S311 - no secret
                await asyncio.sleep(max(0.0, looked + every - time.monotonic()) + later)
                self._news.clear()
                told.update(await self._site.page(self._address))
                looked = time.monotonic()

    async def _heard(self, beat_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), beat_s)

    async def _listen(self, told: dict[str, str]) -> None:
        reader, writer = await self._site.stream(told["events"])
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        self.open.set()
        while piece := await reader.read(1 << 16):
            if piece.count(b"event: change") > piece.count(b'"event":"progress"') or _moved(piece, told):
                self._news.set()
        writer.close()


def _moved(piece: bytes, told: dict[str, str]) -> bool:
    """Whether a job has changed since its page was made."""
    return b"event: job" in piece and f'"updated_at":"{told.get("updated")}"'.encode() not in piece


async def main(port: int, token: str, job: str, number: int) -> None:
    os.nice(19)
    site = Site(port)
    await site.sign_in(token)
    names = [f"/jobs/{job}" if name == "job" else name for name in itertools.islice(itertools.cycle(MIX), number)]
    pages = [Page(site, name) for name in names]
    tasks = [asyncio.create_task(page.live()) for page in pages]
    for page in pages:
        await page.open.wait()
    site.took.clear()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not failed, failed
    found: dict[str, Any] = {
        name: {"looks": len(each), "ms": round(statistics.median(each) * 1000, 1)} for name, each in site.took.items()
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
