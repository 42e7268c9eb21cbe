"""A signed-in conversation with one Swift account: lanes, a token, and trying again.

What must always hold:
- Every request goes through `attempt`: one token renewal for a 401, then patience for what is not
  permanent, then the error that was met last.
- Several threads may use it at once: each attempt has a lane of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from portal.domain.errors import StoreError
from portal.stores.patience import Patience
from portal.stores.swift_auth import Access, Keyring
from portal.stores.swift_errors import TokenRefused, error_of
from portal.stores.swift_lane import Answer, Lane, Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portal.stores.config import StoreConfig
    from portal.stores.swift_body import Body, FileBody
    from portal.stores.swift_lane import Stream

T = TypeVar("T")


class Exchange:
    """One attempt's lane and token. Paths are given from the account on."""

    def __init__(self, lane: Lane, access: Access) -> None:
        self.lane = lane
        self.access = access

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | FileBody | bytes = b"",
        seconds: float | None = None,
    ) -> Answer:
        """One request; whatever its status, but a 401 raises."""
        answer = self.lane.ask(
            method,
            self.access.path + path,
            headers=self._signed(headers),
            body=body,
            seconds=seconds,
        )
        if answer.status == 401:
            raise self.error(answer, "it")
        return answer

    def open(self, path: str, *, headers: Mapping[str, str]) -> Stream:
        """A GET to be read as it comes; whatever its status, but a 401 raises."""
        stream = self.lane.open(self.access.path + path, headers=self._signed(headers))
        if stream.status == 401:
            raise self.error(stream, "it")
        return stream

    def error(self, answer: Answer | Stream, what: str, *, writing: bool = False) -> StoreError:
        """The error for an answer that is not a success."""
        return error_of(
            answer.status,
            host=self.lane.host,
            what=what,
            retry_after=answer.headers.get("retry-after", ""),
            writing=writing,
        )

    def _signed(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return {**(headers or {}), "X-Auth-Token": self.access.token}


class SwiftSession:
    """What `SwiftStore` speaks through."""

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self.keyring = Keyring(config)
        self.lanes = Lanes(config)

    def attempt(self, action: Callable[[Exchange], T]) -> T:
        """Run `action` until it succeeds or there is no sense in going on."""
        patience = Patience(self.config.retry_seconds)
        renewed = False
        while True:
            access = None
            try:
                access = self.keyring.access()
                with self.lanes.lend(access.url) as lane:
                    return action(Exchange(lane, access))
            except TokenRefused as error:
                if renewed or access is None:
                    raise
                self.keyring.renew(access)
                renewed = True
                del error
            except StoreError as error:
                patience.pause_or_raise(error)

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        what: str,
        fine: tuple[int, ...] = (),
        writing: bool = False,
    ) -> Answer:
        """A request without a body, whole answer; raises unless it is 2xx or in `fine`."""

        def action(exchange: Exchange) -> Answer:
            answer = exchange.ask(method, path, headers=headers)
            if not is_success(answer.status) and answer.status not in fine:
                raise exchange.error(answer, what, writing=writing)
            return answer

        return self.attempt(action)

    def close(self) -> None:
        """Close idle connections."""
        self.lanes.close()


def is_success(status: int) -> bool:
    """2xx."""
    return 200 <= status < 300


def object_path(container: str, name: str) -> str:
    """The path of an object from its account on, percent-encoded."""
    return f"/{quote(container)}/{quote(name)}"
