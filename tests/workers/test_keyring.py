"""Secrets of our own: given, or made once and kept for us alone."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from workers.errors import InvalidSettings
from workers.keyring import kept_secret, open_keyring
from workers.settings import Settings

ROOT = Path(__file__).parents[2]
LONG = "k" * 16
WHSEC = "whsec_" + "QUJD" * 8
MAKER = """
import sys
from pathlib import Path
from workers.keyring import kept_secret
print("ready", flush=True)
sys.stdin.readline()
print(kept_secret(Path(sys.argv[1])).get_secret_value())
"""


def from_env(tmp_path: Path, **env: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(tmp_path / "data"), **env})


def test_secrets_are_made_once_and_found_again(tmp_path: Path) -> None:
    first = open_keyring(from_env(tmp_path))
    again = open_keyring(from_env(tmp_path))
    assert first == again
    assert len(first.callback_secrets()[0]) >= 40
    assert first.callback_secrets() != [first.admin_token.get_secret_value()]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"admin-token", "callback-key", "delivery-secret"}


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    open_keyring(from_env(tmp_path))
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for name in ("admin-token", "callback-key", "delivery-secret"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600


def test_what_is_given_is_not_written_down(tmp_path: Path) -> None:
    given = {"ADMIN_TOKEN": LONG, "CALLBACK_KEYS": f"new-{LONG},old-{LONG}", "DELIVERY_SECRET": WHSEC}
    ring = open_keyring(from_env(tmp_path, **given))
    assert ring.admin_token == SecretStr(LONG)
    assert ring.callback_secrets() == [f"new-{LONG}", f"old-{LONG}"]
    assert ring.delivery_bytes() == [b"ABC" * 8]
    assert not (tmp_path / "data").exists()


def test_there_is_no_viewer_token_unless_one_is_given(tmp_path: Path) -> None:
    assert open_keyring(from_env(tmp_path)).viewer_token is None
    assert open_keyring(from_env(tmp_path, VIEWER_TOKEN=LONG)).viewer_token == SecretStr(LONG)


def test_a_viewer_token_must_be_long_and_another_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="VIEWER_TOKEN is shorter"):
        open_keyring(from_env(tmp_path, VIEWER_TOKEN="short"))
    with pytest.raises(InvalidSettings, match="make another one"):
        open_keyring(from_env(tmp_path, ADMIN_TOKEN=LONG, VIEWER_TOKEN=LONG))


def test_signing_secrets_are_read(tmp_path: Path) -> None:
    ring = open_keyring(from_env(tmp_path, WEBHOOK_SIGNING_SECRETS=WHSEC))
    assert ring.signing_bytes() == [b"ABC" * 8]
    assert "QUJD" not in repr(ring)


def test_every_bad_secret_is_named_and_none_is_told(tmp_path: Path) -> None:
    settings = from_env(
        tmp_path, ADMIN_TOKEN="Zx9short", CALLBACK_KEYS=f"{LONG},Zx9", WEBHOOK_SIGNING_SECRETS="Zx9,whsec_Zx9"
    )
    with pytest.raises(InvalidSettings) as caught:
        open_keyring(settings)
    problems = caught.value.problems
    assert [problem.split(" ")[0].rstrip(":") for problem in problems] == [
        "ADMIN_TOKEN",
        "CALLBACK_KEYS",
        "WEBHOOK_SIGNING_SECRETS",
        "WEBHOOK_SIGNING_SECRETS",
    ]
    assert "openssl rand" in problems[0]
    assert "Zx9" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe" * 20])
def test_a_spoilt_file_is_named_with_the_fix(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "callback-key").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"data/callback-key"):
        open_keyring(from_env(tmp_path))


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InvalidSettings, match="DATA_DIR"):
        open_keyring(from_env(tmp_path))


def test_a_killed_makers_draft_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".callback-key.1.abcd").write_text("half")
    assert kept_secret(tmp_path / "callback-key") == kept_secret(tmp_path / "callback-key")
    assert len(kept_secret(tmp_path / "callback-key")) > 40


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path / "new" / "callback-key")]
    makers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own maker
        for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    made = {maker.communicate(timeout=30)[0] for maker in makers}
    assert len(made) == 1
    assert len(made.pop().strip()) > 40
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["callback-key"]
