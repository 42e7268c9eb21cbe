"""Signing in with Swift's own authentication: refused, expired, somewhere else."""

from __future__ import annotations

import hashlib
import time

import pytest

from portal.domain.errors import InvalidInput, StoreError, StoreRefused
from portal.stores.open_store import open_store
from portal.stores.swift import SwiftStore
from tests.contract.faulty_proxy import Fault, FaultyProxy

DATA = b"data" * 1000
MD5 = hashlib.md5(DATA).hexdigest()


def put(store, name="a"):
    return store.put(name, DATA, md5=MD5, content_type="a/b")


@pytest.mark.parametrize("wrong", [{"key": "wrong"}, {"user": "memstore:nobody"}, {"user": "x"}])
def test_wrong_credentials_are_refused_at_once(swift, config_of, wrong):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        store = SwiftStore(config_of(swift, port=proxy.port, **wrong))
        with pytest.raises(StoreRefused, match="does not accept the user name and key") as caught:
            store.ensure_container()
        assert caught.value.permanent
        assert len(proxy.seen) == 1


def test_another_account_is_forbidden(swift, config_of, swift_endpoint):
    mine = SwiftStore(config_of(swift, user=swift_endpoint.user, key=swift_endpoint.key))
    mine.ensure_container()
    access = mine._session.keyring.access()
    theirs = access.url.rpartition("/")[0] + "/AUTH_memstore"
    mine._session.keyring._access = type(access)(theirs, access.token)
    with pytest.raises(StoreRefused, match="forbids"):
        put(mine)
    mine.close()


def test_an_expired_token_renews_itself(own_swift, config_of):
    store = SwiftStore(config_of(own_swift(token_life=2).server))
    store.ensure_container()
    first = store._session.keyring.access()
    put(store)
    time.sleep(3.2)
    assert put(store, "b").etag == MD5
    assert store._session.keyring.access() != first
    time.sleep(3.2)
    assert b"".join(store.get("b")) == DATA
    time.sleep(3.2)
    assert [one.name for one in store.list()] == ["a", "b"]
    store.close()


def test_a_key_changed_in_the_middle_is_one_clear_refusal(swift, config_of):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        store = SwiftStore(config_of(swift, port=proxy.port))
        store.ensure_container()
        proxy.faults.append(Fault(("PUT", "/a"), 99, answer=(401, b"")))
        proxy.faults.append(Fault(("/auth/",), 99, answer=(401, b"")))
        with pytest.raises(StoreRefused, match="does not accept the user name and key"):
            put(store)
        assert proxy.count("PUT", "/a") == 1
        store.close()


def test_a_token_that_stays_refused_is_not_renewed_for_ever(swift, config_of):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        store = SwiftStore(config_of(swift, port=proxy.port))
        store.ensure_container()
        proxy.faults.append(Fault(("PUT", "/a"), 99, answer=(401, b"")))
        with pytest.raises(StoreRefused):
            put(store)
        assert proxy.count("PUT", "/a") == 2
        store.close()


@pytest.mark.parametrize(
    ("answer", "headers", "says"),
    [
        ((200, b"<html>hello</html>"), b"", "does not answer like an object store"),
        ((200, b""), b"X-Storage-Url: ftp://x/v1/a\r\nX-Auth-Token: t\r\n", "does not answer like"),
        ((200, b""), b"X-Storage-Url: http://\r\nX-Auth-Token: t\r\n", "does not answer like"),
        ((404, b""), b"", "no object store to sign in to"),
        ((301, b""), b"Location: http://127.0.0.1:1/\r\n", "points elsewhere"),
        ((403, b""), b"", "does not accept"),
        ((400, b""), b"", "refused the sign-in"),
    ],
)
def test_an_address_that_is_no_store(swift, config_of, answer, headers, says):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        proxy.faults.append(Fault(("/auth/",), 99, answer=answer, headers=headers))
        store = SwiftStore(config_of(swift, port=proxy.port))
        with pytest.raises(StoreRefused, match=says):
            store.ensure_container()
        assert len(proxy.seen) == 1


def test_headers_that_are_no_text_do_not_break_us(swift, config_of):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        headers = b"X-Storage-Url: \xff\xfe\r\nX-Auth-Token: \xff\r\n"
        proxy.faults.append(Fault(("/auth/",), 99, answer=(200, b""), headers=headers))
        with pytest.raises(StoreError):
            SwiftStore(config_of(swift, port=proxy.port, retry_seconds=0.3)).ensure_container()


@pytest.mark.parametrize("address", ["ftp://x/", "file:///etc/passwd", "x", "http://", "//x/y"])
def test_only_web_addresses(swift, config_of, address):
    with pytest.raises(InvalidInput):
        config_of(swift, auth_url=address)


def test_a_driver_that_is_not(swift, config_of):
    with pytest.raises(InvalidInput):
        open_store(config_of(swift, driver="tape"))
    opened = open_store(config_of(swift))
    opened.ensure_container()
    opened.close()
