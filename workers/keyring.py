"""The secrets of our own: from the environment, else made once and kept in the data directory for us alone to read."""

import base64
import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from workers.errors import InvalidInput, InvalidSettings
from workers.settings import Settings
from workers.signing import SECRET_PREFIX, parse_secret

_LEAST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Keyring:
    """``callback_keys``: the newest first; it signs, all of them are accepted. ``delivery_secrets``: each signs.
    ``viewer_token``: lets look, and change nothing; None where there is none.
    """

    admin_token: SecretStr
    viewer_token: SecretStr | None
    callback_keys: tuple[SecretStr, ...]
    signing_secrets: tuple[SecretStr, ...]
    delivery_secrets: tuple[SecretStr, ...]

    def callback_secrets(self) -> list[str]:
        return [key.get_secret_value() for key in self.callback_keys]

    def signing_bytes(self) -> list[bytes]:
        return [parse_secret(secret.get_secret_value()) for secret in self.signing_secrets]

    def delivery_bytes(self) -> list[bytes]:
        return [parse_secret(secret.get_secret_value()) for secret in self.delivery_secrets]


def open_keyring(settings: Settings) -> Keyring:
    """Raise ``InvalidSettings`` for secrets that are too short or no ``whsec_`` secrets."""
    admin = settings.admin_token or kept_secret(settings.data_dir / "admin-token")
    viewer = settings.viewer_token
    keys = settings.callback_keys or (kept_secret(settings.data_dir / "callback-key"),)
    given = {"ADMIN_TOKEN": (admin,), "VIEWER_TOKEN": (viewer,) if viewer else (), "CALLBACK_KEYS": keys}
    problems = [
        f"{name} is shorter than {_LEAST_LENGTH} characters; make one with: openssl rand -hex 24"
        for name, secrets in given.items()
        if any(len(secret.get_secret_value()) < _LEAST_LENGTH for secret in secrets)
    ]
    if viewer == admin:
        problems.append("VIEWER_TOKEN is the ADMIN_TOKEN, which may do everything; make another one")
    problems += _unreadable("WEBHOOK_SIGNING_SECRETS", settings.webhook_signing_secrets)
    delivery = settings.delivery_secret or (_kept_signing_secret(settings.data_dir / "delivery-secret"),)
    problems += _unreadable("DELIVERY_SECRET", delivery)
    if problems:
        raise InvalidSettings(problems)
    return Keyring(admin, viewer, keys, settings.webhook_signing_secrets, delivery)


def _unreadable(name: str, secrets: tuple[SecretStr, ...]) -> list[str]:
    problems = []
    for secret in secrets:
        try:
            parse_secret(secret.get_secret_value())
        except InvalidInput as error:
            problems.append(f"{name}: {error.message}")
    return problems


def _kept_signing_secret(path: Path) -> SecretStr:
    return kept_secret(path, make=lambda: SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def kept_secret(path: Path, *, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> SecretStr:
    """Read the secret in ``path``; make it first if there is none. Two processes that start at once agree on one.

    Raise ``InvalidSettings`` for a file that cannot be made or read, or that holds too little.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _keep(path, make())
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"{path} cannot be used: {error}; see to it, or set DATA_DIR"]) from None
    if len(secret) < _LEAST_LENGTH:
        raise InvalidSettings([f"{path} holds no secret of {_LEAST_LENGTH} characters or more; remove the file"])
    return SecretStr(secret)


def _keep(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(secret + "\n")
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
