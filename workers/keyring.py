"""The secrets of our own: from the environment, else made once and kept in the data directory for us alone to read."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from workers.errors import InvalidInput, InvalidSettings
from workers.settings import Settings
from workers.signing import parse_secret

_LEAST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Keyring:
    """``callback_keys``: the newest first; it signs, all of them are accepted."""

    admin_token: SecretStr
    callback_keys: tuple[SecretStr, ...]
    signing_secrets: tuple[SecretStr, ...]

    def callback_secrets(self) -> list[str]:
        return [key.get_secret_value() for key in self.callback_keys]

    def signing_bytes(self) -> list[bytes]:
        return [parse_secret(secret.get_secret_value()) for secret in self.signing_secrets]


def open_keyring(settings: Settings) -> Keyring:
    """Raise ``InvalidSettings`` for secrets that are too short or no ``whsec_`` secrets."""
    admin = settings.admin_token or kept_secret(settings.data_dir / "admin-token")
    keys = settings.callback_keys or (kept_secret(settings.data_dir / "callback-key"),)
    problems = [
        f"{name} is shorter than {_LEAST_LENGTH} characters; make one with: openssl rand -hex 24"
        for name, given in (("ADMIN_TOKEN", (admin,)), ("CALLBACK_KEYS", keys))
        if any(len(secret.get_secret_value()) < _LEAST_LENGTH for secret in given)
    ]
    for secret in settings.webhook_signing_secrets:
        try:
            parse_secret(secret.get_secret_value())
        except InvalidInput as error:
            problems.append(f"WEBHOOK_SIGNING_SECRETS: {error.message}")
    if problems:
        raise InvalidSettings(problems)
    return Keyring(admin, keys, settings.webhook_signing_secrets)


def kept_secret(path: Path) -> SecretStr:
    """Read the secret in ``path``; make it first if there is none. Two processes that start at once agree on one.

    Raise ``InvalidSettings`` for a file that cannot be made or read, or that holds too little.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"{path} cannot be used: {error}; see to it, or set DATA_DIR"]) from None
    if len(secret) < _LEAST_LENGTH:
        raise InvalidSettings([f"{path} holds no secret of {_LEAST_LENGTH} characters or more; remove the file"])
    return SecretStr(secret)


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # whole or not at all, and never over another process's secret
    finally:
        draft.unlink()
    # A power cut must not take a key with which callback URLs were signed.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
