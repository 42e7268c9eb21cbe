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

from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from portal.domain.errors import StoreError, StoreRefused, StoreUnreachable
from portal.stores.swift_errors import TokenRefused, error_of, refused_credentials
from portal.stores.swift_lane import Lane

if TYPE_CHECKING:
    import requests

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
        raise _told_at_sign_in(answer.status, lane.host)
    token = answer.headers.get("x-storage-token") or answer.headers.get("x-auth-token", "")
    return answer.headers.get("x-storage-url", ""), token


def _told_at_sign_in(status: int, host: str) -> StoreError:
    """A refusal at sign-in is about the credentials, whatever its status."""
    if status in {401, 403}:
        return StoreRefused(refused_credentials(host))
    if status in {404, 405, 410}:
        return StoreRefused(f"There is no object store to sign in to at this address of {host}.")
    return error_of(status, host=host, what="the sign-in")


def _keystone(lane: Lane, config: StoreConfig) -> tuple[str, str]:
    session = keystone_session.Session(
        auth=_plugin(config),
        session=lane.session,
        timeout=config.read_timeout,
        verify=config.ca_file or True,
        redirect=False,
        user_agent="snapport",
    )
    try:
        with lane.within(config.read_timeout):
            token = session.get_token()
            url = session.get_endpoint(
                service_type="object-store",
                interface="public",
                region_name=config.region or None,
                skip_discovery=True,
            )
    except keystone_errors.ClientException as error:
        raise _of_keystone(error, lane) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # keystoneauth trusts the shape of answers that any web server may give.
        raise StoreRefused(f"{lane.host} does not answer like an identity service.") from error
    if not url:
        where = f" in region {config.region}" if config.region else ""
        raise StoreRefused(f"The account at {lane.host} has no object store{where}.")
    return url, token or ""


def _plugin(config: StoreConfig) -> v3.Auth:
    address = config.auth_url.rstrip("/")
    if not address.endswith("/v3"):
        address += "/v3"
    if config.application_credential:
        return v3.ApplicationCredential(
            address,
            application_credential_id=config.user,
            application_credential_secret=config.key,
        )
    return v3.Password(
        address,
        username=config.user,
        password=config.key,
        user_domain_name=config.user_domain,
        project_name=config.project or None,
        project_domain_name=config.project_domain if config.project else None,
    )


def _of_keystone(error: Exception, lane: Lane) -> StoreError:
    match error:
        case keystone_errors.NotFound() if _is_json(error.response):
            # Keystone itself says so of an application credential that is not there.
            return StoreRefused(refused_credentials(lane.host))
        case keystone_errors.HttpError():
            return _told_at_sign_in(error.http_status, lane.host)
        case keystone_errors.EndpointNotFound() | keystone_errors.EmptyCatalog():
            return StoreRefused(f"The account at {lane.host} has no object store there.")
        case keystone_errors.ConnectionError():
            return lane.translate(error)
        case keystone_errors.AuthorizationFailure() | keystone_errors.InvalidResponse():
            return StoreRefused(f"{lane.host} does not answer like an identity service.")
        case _:
            return StoreUnreachable(f"The identity service at {lane.host} did not let us in.")


def _is_json(response: requests.Response | None) -> bool:
    return response is not None and "json" in response.headers.get("Content-Type", "")
