"""Tokens: how a store lets us in, by Swift's own authentication (v1) or Keystone (v3).

What must always hold:
- Threads share one token; the one whose token was refused renews it, the others take the new one.
- Credentials that are refused end in `StoreRefused` at once and are not tried again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from portal.domain.errors import StoreRefused
from portal.stores.swift_errors import TokenRefused, refused_credentials, told_at_sign_in
from portal.stores.swift_lane import Lane

if TYPE_CHECKING:
    from portal.stores.config import StoreConfig


@dataclass(frozen=True, slots=True)
class Access:
    """Where the account's objects are, and the token that opens them."""

    url: str
    token: str = field(repr=False)

    @property
    def path(self) -> str:
        """The account's path, percent-encoded, without a slash at its end."""
        return urlsplit(self.url).path

    @property
    def info_path(self) -> str:
        """Where the service tells of itself: beside the version, `/info`."""
        return self.path.partition("/v1")[0] + "/info"


class Keyring:
    """The current `Access` of a store, renewed on demand."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._access: Access | None = None

    def access(self) -> Access:
        """The access at hand; asks the store for one the first time."""
        with self._lock:
            if self._access is None:
                self._access = self._obtain()
            return self._access

    def renew(self, refused: Access) -> None:
        """Forget the access that was refused, unless another thread has replaced it already."""
        with self._lock:
            if self._access is refused:
                self._access = None

    def _obtain(self) -> Access:
        lane = Lane(self._config.auth_url, self._config)
        try:
            url, token = (
                _keystone(lane, self._config)
                if self._config.auth_version == "3"
                else (_tempauth(lane, self._config))
            )
        except TokenRefused as error:
            # Here it is not a token that was refused: renewing cannot help.
            raise StoreRefused(refused_credentials(lane.host)) from error
        finally:
            lane.close()
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not token:
            raise StoreRefused(f"{lane.host} does not answer like an object store.")
        # Some services leave the account's path unquoted.
        path = quote(unquote(parts.path.rstrip("/")))
        return Access(f"{parts.scheme}://{parts.netloc}{path}", token)


def _tempauth(lane: Lane, config: StoreConfig) -> tuple[str, str]:
    parts = urlsplit(config.auth_url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    answer = lane.ask(
        "GET",
        path or "/",
        headers={"X-Auth-User": config.user, "X-Auth-Key": config.key},
        seconds=config.read_timeout,
    )
    if answer.status >= 300:
        raise told_at_sign_in(answer.status, lane.host)
    token = answer.headers.get("x-storage-token") or answer.headers.get("x-auth-token", "")
    return answer.headers.get("x-storage-url", ""), token


def _keystone(lane: Lane, config: StoreConfig) -> tuple[str, str]:
    # Only where it is used: most of a worker's memory is what it imported.
    from portal.stores.swift_keystone import sign_in

    return sign_in(lane, config)
