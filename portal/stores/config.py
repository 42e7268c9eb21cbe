"""How a store is reached: everything a driver needs to open one.

Secrets do not show in `repr`. Kept encrypted as text (`as_text`, `from_text`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from portal.domain.errors import InvalidInput
from portal.domain.names import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """A store's address and credentials. Times in seconds.

    `auth_version` is "1" (Swift's own) or "3" (Keystone; with `application_credential` the user
    is the credential's id). `retry_seconds` bounds how long one call tries again.
    """

    driver: str
    auth_url: str
    user: str
    key: str = field(repr=False)
    auth_version: str = "1"
    container: str = CONTAINER
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str = ""
    application_credential: bool = False
    ca_file: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    retry_seconds: float = 120.0
    temp_url_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what no driver could use."""
        if self.driver == "swift":
            _check_address(self.auth_url)
            if self.auth_version not in {"1", "3"}:
                raise InvalidInput("The authentication version is 1 or 3.", field="auth_version")
            if not self.user or not self.key:
                raise InvalidInput("The store needs a user and a key.", field="user")
            for name in ("user", "key", "temp_url_key"):
                # They travel in header lines.
                if not _is_one_line(getattr(self, name)):
                    raise InvalidInput("That holds characters that cannot be sent.", field=name)
        if (
            not 0 < len(self.container.encode(errors="replace")) <= 256
            or "/" in self.container
            or self.container in {".", ".."}
            or not _is_one_line(self.container)
        ):
            raise InvalidInput("That is not a container name.", field="container")
        for name in ("connect_timeout", "read_timeout", "retry_seconds"):
            if not 0 < getattr(self, name) <= 86_400:
                raise InvalidInput("A time limit is more than 0 and at most a day.", field=name)

    @property
    def identity(self) -> str:
        """Which container this is, whatever the credentials' spelling."""
        parts = urlsplit(self.auth_url)
        where = urlunsplit(("", parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
        owner = self.project or self.user.partition(":")[0]
        return "\n".join((self.driver, where, self.project_domain, owner, self.container))

    def with_temp_url_key(self, key: str) -> Self:
        """The same store with this key for download links."""
        return replace(self, temp_url_key=key)

    def hurried(self) -> Self:
        """The same store, given up after some 20 seconds: for a page that somebody waits for."""
        return replace(
            self,
            connect_timeout=min(self.connect_timeout, 5.0),
            read_timeout=min(self.read_timeout, 15.0),
            retry_seconds=min(self.retry_seconds, 5.0),
        )

    def as_text(self) -> dict[str, str]:
        """All fields as text, secrets included: for the vault alone."""
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_text(cls, text: Mapping[str, str]) -> Self:
        """The inverse of `as_text`; fields that the text lacks keep their defaults."""
        values: dict[str, str | float | bool] = {}
        for known in fields(cls):
            if known.name not in text:
                continue
            raw = text[known.name]
            if known.type == "float":
                values[known.name] = float(raw)
            elif known.type == "bool":
                values[known.name] = raw == "True"
            else:
                values[known.name] = raw
        return cls(**values)  # type: ignore[arg-type]


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _is_one_line(address) or " " in address:
        raise InvalidInput(
            "The store's address must begin with https:// (or http://).", field="auth_url"
        )
    if "@" in urlsplit(address).netloc:
        raise InvalidInput(
            "Give the user and the key by themselves, not in the address.", field="auth_url"
        )


def _is_one_line(text: str) -> bool:
    """Whether it is proper text without control characters."""
    return not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text)
