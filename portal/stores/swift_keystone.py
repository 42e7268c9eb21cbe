"""Keystone's tokens (v3), and what it says, as our errors.

A module of its own, imported by whom signs in there: keystoneauth1 takes 7 MiB and 0.1 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from portal.domain.errors import StoreError, StoreRefused, StoreUnreachable
from portal.stores.swift_errors import refused_credentials, told_at_sign_in

if TYPE_CHECKING:
    import requests

    from portal.stores.config import StoreConfig
    from portal.stores.swift_lane import Lane


def sign_in(lane: Lane, config: StoreConfig) -> tuple[str, str]:
    """The account's address, and a token for it."""
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
            return told_at_sign_in(error.http_status, lane.host)
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
