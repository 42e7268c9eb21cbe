"""Secrets at rest: store credentials are sealed with a key that is not in the database.

What must always hold:
- The key comes from `SNAPPORT_KEY` or a key file (mode 0600); a database without it tells nothing.
- Several keys may be given: the first seals, all open, so that a key can be changed in peace.
- A sealed secret is bound to what it was sealed for, so that a row copied onto another one fails.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal.domain.errors import SnapportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from portal.settings import Settings


class VaultError(SnapportError):
    """The key is missing, malformed, or not the one that sealed this."""


class Vault:
    """Seals and opens; made once a process by `open_vault`."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise VaultError("No encryption key: set SNAPPORT_KEY or SNAPPORT_KEY_FILE.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
            self._master = base64.urlsafe_b64decode(keys[-1])
        except ValueError as error:
            raise VaultError(
                "The encryption key is not a Fernet key (32 bytes, URL-safe base64)."
            ) from error

    def seal(self, purpose: str, secrets: Mapping[str, str]) -> bytes:
        """Encrypt a small mapping; it opens only with the same `purpose`."""
        return self._fernet.encrypt(json.dumps({"for": purpose, "is": dict(secrets)}).encode())

    def open(self, purpose: str, sealed: bytes) -> dict[str, str]:
        """The mapping, or `VaultError`."""
        try:
            content = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise VaultError(
                "A stored secret cannot be opened: it was sealed with another encryption key."
            ) from error
        if content["for"] != purpose:
            raise VaultError("A stored secret belongs to another record.")
        return dict(content["is"])

    def derive(self, purpose: str) -> str:
        """A key for another use (hexadecimal, 256 bits), the same as long as the oldest key is."""
        kdf = HKDF(hashes.SHA256(), length=32, salt=None, info=b"snapport " + purpose.encode())
        return kdf.derive(self._master).hex()


def open_vault(settings: Settings) -> Vault:
    """The vault of these settings; makes `DATA/key` at the first start where no key is given."""
    given = settings.key.get_secret_value()
    if given:
        return Vault([key.strip() for key in given.split(",") if key.strip()])
    path = settings.key_file or settings.data / "key"
    if settings.key_file is None and not path.exists():
        _make_key(path)
    try:
        return Vault(path.read_text().split())
    except OSError as error:
        raise VaultError(f"The key file cannot be read: {error.strerror}.") from error


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(Fernet.generate_key().decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    # link, not rename: of two processes that start together, the first key stays.
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
