"""Signing in by Keystone v3: a real one, and what pretends to be one."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from dataclasses import replace

import pytest

from portal.domain.errors import StoreError, StoreRefused, StoreUnreachable
from portal.stores.swift import SwiftStore
from tests.contract.faulty_proxy import Fault, FaultyProxy
from tests.contract.swift_with_keystone import CACHE_SECONDS

DATA = b"data" * 100_000
MD5 = hashlib.md5(DATA).hexdigest()


def put(store, name="a"):
    return store.put(name, DATA, md5=MD5, content_type="a/b")


@pytest.fixture
def config(keystone, keystone_customer, keystone_config_of):
    return keystone_config_of(keystone, keystone_customer)


@pytest.mark.parametrize("suffix", ["", "/", "/v3", "/v3/"])
def test_the_address_with_and_without_its_version(config, suffix):
    store = SwiftStore(replace(config, auth_url=config.auth_url + suffix))
    store.ensure_container()
    assert put(store).etag == MD5
    store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "wrong"},
        {"user": "nobody"},
        {"project": "no such project"},
        {"user_domain": "no such domain"},
        {"project_domain": "no such domain"},
        {"application_credential": True},
    ],
    ids=str,
)
def test_wrong_credentials_are_refused_at_once(config, wrong):
    started = time.monotonic()
    with pytest.raises(StoreRefused, match="does not accept the user name and key") as caught:
        SwiftStore(replace(config, **wrong)).ensure_container()
    assert caught.value.permanent
    assert time.monotonic() - started < 8


def test_another_region_has_no_store(config):
    with pytest.raises(StoreRefused, match="no object store"):
        SwiftStore(replace(config, region="Elsewhere")).ensure_container()


def test_without_a_region(config):
    store = SwiftStore(replace(config, region=""))
    store.ensure_container()
    store.close()


def test_a_user_without_a_role_in_the_project(keystone, keystone_config_of):
    outsider = keystone.customer(role="")
    with pytest.raises(StoreRefused):
        SwiftStore(keystone_config_of(keystone, outsider)).ensure_container()


def test_a_role_that_may_not_write(keystone, keystone_config_of):
    reader = keystone.customer(role="reader")
    with pytest.raises(StoreRefused, match="forbids"):
        SwiftStore(keystone_config_of(keystone, reader)).ensure_container()


def test_an_application_credential(keystone, keystone_config_of):
    customer = keystone.customer()
    store = SwiftStore(keystone_config_of(keystone, customer))
    store.ensure_container()
    user, key = keystone.application_credential(customer)
    config = replace(store._config, user=user, key=key, application_credential=True, project="")
    program = SwiftStore(config)
    program.ensure_container()
    put(program)
    assert b"".join(store.get("a")) == DATA
    program.close()
    store.close()


def test_a_revoked_token_is_renewed(keystone, config):
    store = SwiftStore(config)
    store.ensure_container()
    put(store)
    for use in (
        lambda: put(store, "b").etag == MD5,
        lambda: b"".join(store.get("a")) == DATA,
    ):
        before = store._session.keyring.access().token
        keystone.revoke(before)
        time.sleep(CACHE_SECONDS + 0.5)
        assert use()
        assert store._session.keyring.access().token != before
    store.close()


def test_a_password_changed_in_the_middle(keystone, keystone_config_of):
    customer = keystone.customer()
    store = SwiftStore(keystone_config_of(keystone, customer))
    store.ensure_container()
    keystone.change_password(customer, "another")
    time.sleep(CACHE_SECONDS + 0.5)
    with pytest.raises(StoreRefused, match="does not accept the user name and key"):
        put(store)
    store.close()


@pytest.mark.parametrize(
    ("answer", "headers", "says"),
    [
        ((200, b"<html>hello</html>"), b"", "like an identity service"),
        ((201, b"{}"), b"X-Subject-Token: t\r\n", "like an identity service|no object store"),
        ((201, b'{"token": []}'), b"X-Subject-Token: t\r\n", "like an identity service"),
        ((201, b"[" * 5000), b"", "like an identity service"),
        ((404, b""), b"", "no object store to sign in to"),
        ((302, b""), b"Location: http://127.0.0.1:1/\r\n", "like an|elsewhere"),
        ((403, b""), b"", "does not accept"),
        (
            (
                201,
                json.dumps(
                    {
                        "token": {
                            "expires_at": "2099-01-01T00:00:00.000000Z",
                            "methods": ["password"],
                            "user": {"id": "u", "name": "n", "domain": {"id": "d", "name": "D"}},
                            "catalog": [
                                {
                                    "type": "object-store",
                                    "endpoints": [
                                        {
                                            "interface": "public",
                                            "region": "RegionOne",
                                            "region_id": "RegionOne",
                                            "url": "file:///etc/passwd",
                                        }
                                    ],
                                }
                            ],
                        }
                    }
                ).encode(),
            ),
            b"X-Subject-Token: t\r\n",
            "like an object store",
        ),
    ],
    ids=range(8),
)
def test_an_address_that_is_no_identity_service(keystone, config, answer, headers, says):
    with FaultyProxy(int(keystone.address.rpartition(":")[2])) as proxy:
        proxy.faults.append(Fault(("/auth/tokens",), 99, answer=answer, headers=headers))
        address = f"http://127.0.0.1:{proxy.port}"
        with pytest.raises(StoreRefused, match=says):
            SwiftStore(replace(config, auth_url=address)).ensure_container()
        assert len(proxy.seen) == 1


@pytest.mark.parametrize("fault", [{"answer": (503, b"")}, {"lose_answer": True}], ids=str)
def test_a_sign_in_gets_through(keystone, config, fault):
    with FaultyProxy(int(keystone.address.rpartition(":")[2])) as proxy:
        proxy.faults.append(Fault(("/auth/tokens",), **fault))
        store = SwiftStore(replace(config, auth_url=f"http://127.0.0.1:{proxy.port}"))
        store.ensure_container()
        assert proxy.count("/auth/tokens") == 2
        store.close()


def test_an_identity_service_that_never_answers(config):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = SwiftStore(replace(config, auth_url=address, read_timeout=0.5, retry_seconds=1.0))
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match="in time"):
            store.ensure_container()
        assert time.monotonic() - started < 5


def test_an_identity_service_that_drips(keystone, config):
    with FaultyProxy(int(keystone.address.rpartition(":")[2])) as proxy:
        proxy.faults.append(Fault(("/auth/tokens",), 99, drip=0.3))
        store = SwiftStore(
            replace(
                config,
                auth_url=f"http://127.0.0.1:{proxy.port}",
                read_timeout=1.5,
                retry_seconds=1.0,
            )
        )
        started = time.monotonic()
        with pytest.raises(StoreError):
            store.ensure_container()
        assert time.monotonic() - started < 8


def test_no_secret_in_any_text(config, caplog):
    caplog.set_level("DEBUG")
    store = SwiftStore(config)
    store.ensure_container()
    put(store)
    token = store._session.keyring.access().token
    with pytest.raises(StoreRefused) as caught:
        SwiftStore(replace(config, key="the-wrong-secret")).ensure_container()
    for text in (caplog.text, repr(config), repr(caught.value), str(caught.value)):
        assert config.key not in text
        assert "the-wrong-secret" not in text
        assert token not in text
        assert "k" * 32 not in text
    store.close()
