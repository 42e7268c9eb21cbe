"""Swift over TLS: whom we trust, and that time limits hold there, too."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
import time
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.domain.errors import StoreRefused, StoreUnreachable
from portal.stores.swift import SwiftStore
from tests.contract.faulty_proxy import Fault, FaultyProxy

DATA = bytes(range(256)) * 20_000
MD5 = hashlib.md5(DATA).hexdigest()


def certificate(folder, address: str):
    """A self-signed certificate for an address: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a store")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "store.pem", folder / "store.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return str(public), context


@pytest.fixture
def proxy(swift, tmp_path):
    path, context = certificate(tmp_path, "127.0.0.1")
    with FaultyProxy(swift.ports["proxy"], tls=context) as proxy:
        proxy.certificate = path
        # Swift does not know that it stands behind TLS.
        proxy.faults.append(Fault(("/auth/",), 99, replace=(b"http://", b"https://")))
        yield proxy


@pytest.fixture
def open_store(proxy, config_of, swift):
    opened = []

    def make(**changes) -> SwiftStore:
        settings = {
            "auth_url": f"https://127.0.0.1:{proxy.port}/auth/v1.0",
            "ca_file": proxy.certificate,
            **changes,
        }
        opened.append(SwiftStore(config_of(swift, **settings)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def put(store, name="a"):
    return store.put(name, DATA, md5=MD5, content_type="a/b")


def test_a_store_with_an_authority_of_its_own(open_store):
    store = open_store()
    store.ensure_container()
    assert put(store).etag == MD5
    assert b"".join(store.get("a")) == DATA
    assert store.temp_url("a", filename="f", seconds=60).startswith("https://")


def test_an_unknown_certificate_is_refused_at_once(open_store, proxy):
    started = time.monotonic()
    with pytest.raises(StoreRefused, match=r"certificate .* is not trusted") as caught:
        open_store(ca_file="").ensure_container()
    assert caught.value.permanent
    assert time.monotonic() - started < 5
    assert proxy.seen == []


def test_a_certificate_for_another_host_is_refused(open_store, swift, tmp_path):
    path, context = certificate(tmp_path, "127.0.0.2")
    with FaultyProxy(swift.ports["proxy"], tls=context) as other:
        with pytest.raises(StoreRefused, match="certificate"):
            open_store(
                auth_url=f"https://127.0.0.1:{other.port}/auth/v1.0", ca_file=path
            ).ensure_container()
        assert other.seen == []


def test_a_certificate_file_that_is_not_there(open_store, tmp_path):
    with pytest.raises(StoreRefused, match="certificate file"):
        open_store(ca_file=str(tmp_path / "none.pem")).ensure_container()


def test_breaks_over_tls_are_tried_again(open_store, proxy):
    store = open_store()
    store.ensure_container()
    proxy.faults.append(Fault(("PUT", "/a HTTP"), cut_request_after=2_000_000))
    proxy.faults.append(Fault(("GET", "/a HTTP"), cut_answer_after=2_000_000))
    assert put(store).etag == MD5
    assert b"".join(store.get("a")) == DATA
    assert proxy.count("PUT", "/a HTTP") == proxy.count("GET", "/a HTTP") == 2


@pytest.mark.parametrize("fault", [{"hang": True}, {"drip": 0.2}], ids=str)
def test_time_limits_hold_over_tls(open_store, proxy, fault):
    store = open_store(read_timeout=1.0, retry_seconds=0.5)
    store.ensure_container()
    put(store)
    proxy.faults.append(Fault(("GET",), 99, **fault))
    for call in (lambda: list(store.list()), lambda: list(store.get("a", length=500))):
        started = time.monotonic()
        with pytest.raises(StoreUnreachable):
            call()
        assert time.monotonic() - started < 8


def test_a_plain_server_at_a_tls_address(open_store, swift):
    with pytest.raises(StoreUnreachable):
        open_store(
            auth_url=f"https://127.0.0.1:{swift.ports['proxy']}/auth/v1.0", retry_seconds=0.3
        ).ensure_container()
