"""Swift's answers as our errors.

What must always hold:
- "Could not fetch" is never reported as "corrupt": only a checksum, a size or a piece that the
  store itself said to be wrong makes an `ObjectDamaged`.
- No token, key or signed address appears in a sentence.
"""

from __future__ import annotations

from http import HTTPStatus

from portal.domain.errors import (
    ObjectDamaged,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnreachable,
)
from portal.stores.header_number import header_number


class TokenRefused(StoreRefused):
    """The token was not accepted; it may only have expired: renew it once before giving up."""


class Throttled(StoreUnreachable):
    """The store asks for a pause of `seconds`."""

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


def refused_credentials(host: str) -> str:
    """The sentence for credentials that the store does not know."""
    return f"The store at {host} does not accept the user name and key."


def error_of(  # noqa: C901 - a case a status
    status: int, *, host: str, what: str, retry_after: str = "", writing: bool = False
) -> StoreError:
    """The error for an answer that is not a success.

    `what` names the thing in a sentence ("the object “a”"); `writing` says that data was sent.
    """
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return TokenRefused(refused_credentials(host))
        case HTTPStatus.FORBIDDEN:
            return StoreRefused(f"The store at {host} forbids access to {what}.")
        case HTTPStatus.NOT_FOUND if writing:
            return ObjectMissing(f"The container for {what} is not there.")
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return ObjectMissing(f"The store has not got {what}.")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.INSUFFICIENT_STORAGE if writing:
            return StoreFull(f"The store at {host} has no room left for {what}.")
        case HTTPStatus.UNPROCESSABLE_ENTITY if writing:
            return ObjectDamaged(f"What the store received of {what} is not what was sent.")
        case HTTPStatus.TOO_MANY_REQUESTS | 498:  # Swift's own status for too many requests
            return Throttled(
                f"The store at {host} asks for fewer requests.", seconds=_seconds(retry_after)
            )
        case HTTPStatus.SERVICE_UNAVAILABLE if writing:
            # Swift's proxy answers so when its disks are full, too: the two look the same here.
            return Throttled(
                f"The store at {host} takes no data at present: it is overloaded or full.",
                seconds=_seconds(retry_after),
            )
        case HTTPStatus.REQUEST_TIMEOUT | 499 | HTTPStatus.CONFLICT:  # 499: a body stopped coming
            return StoreUnreachable(f"The store at {host} did not complete {what} ({status}).")
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Throttled(
                f"The store at {host} has a problem of its own ({status}).",
                seconds=_seconds(retry_after),
            )
        case _ if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return StoreRefused(
                f"The address {host} points elsewhere ({status}): give the store's own address."
            )
        case _:
            return StoreRefused(f"The store at {host} refused {what} ({status}).")


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds; dates and nonsense count as none."""
    return float(header_number(retry_after) or 0)


def told_at_sign_in(status: int, host: str) -> StoreError:
    """A refusal at sign-in is about the credentials, whatever its status."""
    if status in {401, 403}:
        return StoreRefused(refused_credentials(host))
    if status in {404, 405, 410}:
        return StoreRefused(f"There is no object store to sign in to at this address of {host}.")
    return error_of(status, host=host, what="the sign-in")
