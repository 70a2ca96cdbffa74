"""A real S3 server (moto's) in a process and an environment of its own: ``make test`` installs it beside ours."""

import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import httpx2
import pytest

PYTHON = Path(sys.prefix) / "s3" / "bin" / "python"
_READY = re.compile(r"Running on (http://127\.0\.0\.1:([0-9]+))")
_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_IAM = "{https://iam.amazonaws.com/doc/2010-05-08/}"
ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class S3Server:
    """Started by ``start``; lets anybody in until ``guard``."""

    def __init__(self, process: subprocess.Popen[str], url: str, port: int) -> None:
        self.url = url
        self.port = port
        self.http = httpx2.Client(base_url=url, timeout=30, trust_env=False)
        self._process = process

    @classmethod
    def start(cls, log: Path) -> Self:
        """Skip where it is not installed; fail in CI."""
        if not PYTHON.exists():
            if os.environ.get("CI"):
                pytest.fail("make test installs the S3 server; it is not there")
            pytest.skip("make .venv/.s3 installs the S3 server")
        process = subprocess.Popen(  # noqa: S603 - our own words
            [PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if match := _READY.search(line):
                # A full pipe would stop it.
                threading.Thread(target=_drain, args=(process.stderr, log), daemon=True).start()
                return cls(process, match[1], int(match[2]))
        pytest.fail(f"the S3 server did not start and ended with {process.wait()}")

    def stop(self) -> None:
        self.http.close()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def make(self, bucket: str) -> None:
        self.http.put(f"/{bucket}").raise_for_status()

    def uploads(self, bucket: str) -> list[str]:
        """Keys of multipart uploads that have neither ended nor been dropped."""
        answer = self.http.get(f"/{bucket}?uploads").raise_for_status()
        return [key.text or "" for key in ET.fromstring(answer.text).iter(f"{_S3}Key")]  # noqa: S314 - our own server

    def user(self, name: str) -> dict[str, str]:
        """Make somebody who may do everything, and give the variables that hold the key."""
        self._iam(Action="CreateUser", UserName=name)
        self._iam(Action="PutUserPolicy", UserName=name, PolicyName="all", PolicyDocument=ALLOW_ALL)
        key = ET.fromstring(self._iam(Action="CreateAccessKey", UserName=name))  # noqa: S314 - our own server
        found = {part: next(key.iter(_IAM + part)).text or "" for part in ("AccessKeyId", "SecretAccessKey")}
        return {"AWS_ACCESS_KEY_ID": found["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"]}

    def guard(self, *, on: bool) -> None:
        """Check keys and signatures from now on, or no more."""
        self.http.post("/moto-api/reset-auth", content="0" if on else "inf").raise_for_status()

    def _iam(self, **form: str) -> str:
        scope = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
        answer = self.http.post("/", data={**form, "Version": "2010-05-08"}, headers={"Authorization": scope})
        return answer.raise_for_status().text


def _drain(stderr: IO[str], log: Path) -> None:
    with stderr, log.open("w") as file:
        file.writelines(stderr)


def credentials(url: str, **more: str) -> dict[str, str]:
    """The variables that lead a client to a server at ``url``."""
    given = {"AWS_ACCESS_KEY_ID": "of-tests", "AWS_SECRET_ACCESS_KEY": "Zx9-secret-of-tests", "AWS_REGION": "us-east-1"}
    return {**given, "AWS_ENDPOINT": url, **more}
