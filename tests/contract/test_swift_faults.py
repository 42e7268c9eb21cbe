"""The Swift driver when the line or the service between fails: a faulty proxy before real Swift."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.domain.errors import (
    ObjectDamaged,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnreachable,
)
from portal.stores.interface import Segment
from portal.stores.swift import SwiftStore
from tests.contract.faulty_proxy import Fault, FaultyProxy

DATA = random.Random(5).randbytes(5_000_000)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def proxy(swift):
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        yield proxy


@pytest.fixture
def open_store(proxy, config_of, swift):
    opened = []

    def make(**changes) -> SwiftStore:
        store = SwiftStore(config_of(swift, port=proxy.port, **changes), page=7)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store) -> SwiftStore:
    """Signed in, with its container, through the proxy."""
    store = open_store()
    store.ensure_container()
    return store


def put(store, name="a", data=DATA):
    md5 = hashlib.md5(data).hexdigest()
    return store.put(name, data, md5=md5, content_type="a/b")


def read(store, name="a", **span) -> bytes:
    return b"".join(store.get(name, **span))


@pytest.mark.parametrize(
    "fault",
    [
        {"answer": (503, b"busy")},
        {"answer": (500, b"")},
        {"answer": (429, b"")},
        {"answer": (498, b"")},
        {"answer": (408, b"")},
        {"answer": (499, b"")},
        {"answer": (401, b"")},
        {"answer": (422, b"")},
        {"answer": (503, b""), "early": True},
        {"answer": (401, b""), "early": True},
        {"cut_request_after": 0},
        {"cut_request_after": 3_000_000},
        {"lose_answer": True},
        {"cut_request_after": 3_000_000, "times": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["buffer", "stream"])
def test_an_upload_gets_through(store, proxy, fault, kind):
    proxy.faults.append(Fault(("PUT", "/part"), **fault))
    if kind == "buffer":
        stored = store.put("part", DATA, md5=MD5, content_type="a/b")
    else:
        file = io.BytesIO(b"before" + DATA)
        file.seek(6)
        stored = store.put_stream("part", file, size=len(DATA), md5=MD5, content_type="a/b")
    assert (stored.etag, stored.size) == (MD5, len(DATA))
    assert read(store, "part") == DATA
    assert proxy.count("PUT", "/part") == 1 + fault.get("times", 1)


@pytest.mark.parametrize(
    ("status", "error", "permanent"),
    [
        (400, StoreRefused, True),
        (403, StoreRefused, True),
        (404, ObjectMissing, True),
        (405, StoreRefused, True),
        (413, StoreFull, True),
        (507, StoreFull, True),
        (302, StoreRefused, True),
        (422, ObjectDamaged, False),
        (429, StoreUnreachable, False),
        (498, StoreUnreachable, False),
        (500, StoreUnreachable, False),
        (503, StoreUnreachable, False),
        (504, StoreUnreachable, False),
    ],
)
def test_what_an_upload_says_in_the_end(open_store, proxy, status, error, permanent):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    header = b"Location: http://127.0.0.1:1/elsewhere\r\n" if status == 302 else b""
    proxy.faults.append(Fault(("PUT", "/a"), 99, answer=(status, b"<html>"), headers=header))
    started = time.monotonic()
    with pytest.raises(error) as caught:
        put(store)
    assert type(caught.value).permanent is permanent or caught.value.permanent is permanent
    assert caught.value.permanent is permanent
    assert time.monotonic() - started < 5
    assert (proxy.count("PUT", "/a") == 1) is permanent
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_an_object_that_the_store_confirms_wrongly_is_not_stored(store, proxy):
    proxy.faults.append(Fault(("PUT", "/a"), 99, replace=(MD5.encode(), b"0" * 32)))
    with pytest.raises(ObjectDamaged, match="another checksum"):
        put(store)


def test_retry_after_is_kept(store, proxy):
    proxy.faults.append(
        Fault(("HEAD", "/a"), answer=(503, b""), headers=b"Retry-After: 2\r\n"),
    )
    started = time.monotonic()
    assert store.head("a") is None
    assert 2 <= time.monotonic() - started < 6


@pytest.mark.parametrize("call", ["head", "list", "folders", "delete", "manifest", "info", "bulk"])
@pytest.mark.parametrize("fault", [{"answer": (503, b"")}, {"lose_answer": True}], ids=str)
def test_everything_else_gets_through_too(store, open_store, proxy, call, fault):
    put(store, "f/a", b"x")
    if call == "info":
        fresh = open_store()
        proxy.faults.append(Fault(("/info",), **fault))
        assert fresh.limits().manifest_segments == 1000
        return
    words = {"manifest": ("PUT", "multipart"), "bulk": ("POST",), "delete": ("DELETE",)}
    default = ("GET", "format=json") if call in {"list", "folders"} else ("HEAD",)
    proxy.faults.append(Fault(words.get(call, default), **fault))
    match call:
        case "head":
            assert store.head("f/a").size == 1
        case "list":
            assert [one.name for one in store.list()] == ["f/a"]
        case "folders":
            assert list(store.folders()) == ["f/"]
        case "delete":
            store.delete("f/a")
            assert store.head("f/a") is None
        case "bulk":
            store.delete_many(["f/a"])
            assert store.head("f/a") is None
        case "manifest":
            piece = Segment("f/a", 1, hashlib.md5(b"x").hexdigest())
            store.put_manifest("m", [piece], content_type="a/b")
            assert read(store, "m") == b"x"
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("cut", [0, 1, 1_000_000, 3_999_999])
@pytest.mark.parametrize("span", [{}, {"start": 7}, {"start": 7, "length": 4_000_000}], ids=str)
def test_a_broken_read_goes_on_where_it_broke(store, proxy, cut, span):
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=cut))
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=3))
    begin = span.get("start", 0)
    end = begin + span["length"] if "length" in span else len(DATA)
    assert read(store, **span) == DATA[begin:end]
    assert proxy.count("GET", "/a HTTP") >= 2


def test_a_read_is_never_silently_short(open_store, proxy):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), 99, cut_answer_after=0, skip=1))
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=1_000_000))
    got: list[bytes] = []
    with pytest.raises(StoreUnreachable):
        got.extend(store.get("a"))
    given = b"".join(got)
    assert given
    assert given == DATA[: len(given)]
    assert len(given) < len(DATA)


def test_a_body_that_ends_early_without_a_break_is_noticed(open_store, proxy):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    put(store, data=b"0123456789")
    wrong = (b"Content-Length: 10", b"Content-Length: 11")
    proxy.faults.append(Fault(("GET", "/a"), replace=wrong))
    with pytest.raises(StoreError):
        read(store)
    # It went on behind the tenth byte, and there was no more.
    assert proxy.count("GET", "/a HTTP") == 2


def test_bytes_that_changed_on_the_way_are_noticed(store, proxy):
    put(store, data=b"0123456789")
    etag = hashlib.md5(b"0123456789").hexdigest().encode()
    proxy.faults.append(Fault(("GET", "/a"), replace=(etag, b"0" * 32)))
    with pytest.raises(ObjectDamaged, match="checksum"):
        read(store)


def test_an_object_replaced_during_a_read_is_not_mixed(store, proxy):
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=2_000_000))
    reading = store.get("a")
    next(reading)
    put(store, data=DATA[::-1])
    with pytest.raises(ObjectDamaged, match="replaced"):
        list(reading)


def test_an_object_deleted_during_a_read(store, proxy):
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=2_000_000))
    reading = store.get("a")
    next(reading)
    store.delete("a")
    with pytest.raises(ObjectMissing):
        list(reading)


def test_a_token_refused_during_a_read(store, proxy):
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), cut_answer_after=2_000_000))
    proxy.faults.append(Fault(("GET", "/a"), answer=(401, b"")))
    assert read(store) == DATA
    assert proxy.count("/auth/v1.0") == 2


def test_a_range_that_was_not_asked_for_is_refused(store, proxy):
    put(store)
    proxy.faults.append(Fault(("GET", "/a"), replace=(b"bytes 10-19/", b"bytes 11-20/")))
    with pytest.raises(StoreError, match="another range"):
        read(store, start=10, length=10)


def test_a_piece_that_cannot_be_fetched_is_not_called_damaged(open_store, proxy):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    put(store, "p", DATA)
    store.put_manifest("a", [Segment("p", len(DATA), MD5)], content_type="a/b")
    # Swift answers 409 whether a piece is gone, changed or only out of reach.
    proxy.faults.append(Fault(("GET", "/a "), 99, answer=(409, b"")))
    with pytest.raises(StoreUnreachable, match="could not be fetched"):
        read(store)
    proxy.faults[:] = [Fault(("GET", "/a "), answer=(409, b""))]
    assert read(store) == DATA


@pytest.mark.parametrize(
    ("reason", "error", "permanent"),
    [
        ("503 Service Unavailable", StoreUnreachable, False),
        ("404 Not Found", ObjectMissing, True),
        ("Etag Mismatch", ObjectDamaged, True),
        ("Size Mismatch", ObjectDamaged, True),
        ("403 Forbidden", StoreRefused, True),
        ("Too small", StoreError, True),
    ],
)
def test_what_a_manifest_refused_in_its_body_says(open_store, proxy, reason, error, permanent):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    put(store, "p")
    body = f'   \r\n\r\n{{"Response Status": "400 Bad Request", "Errors": [["/c/p", "{reason}"]]}}'
    proxy.faults.append(Fault(("PUT", "/a?"), 99, answer=(202, body.encode())))
    with pytest.raises(error) as caught:
        store.put_manifest("a", [Segment("p", len(DATA), MD5)], content_type="a/b")
    assert ("“p”" in str(caught.value)) is permanent
    assert caught.value.permanent is permanent


def test_a_manifest_whose_token_expired_on_the_way(store, proxy):
    put(store, "p")
    body = b'{"Response Status": "400 Bad Request", "Errors": [["/c/p", "401 Unauthorized"]]}'
    proxy.faults.append(Fault(("PUT", "/a?"), answer=(202, body)))
    store.put_manifest("a", [Segment("p", len(DATA), MD5)], content_type="a/b")
    assert read(store) == DATA


@pytest.mark.parametrize("body", [b"", b"   ", b"<html>", b'{"Response Status": "201 Crea'])
def test_a_manifest_whose_answer_was_lost(store, proxy, body):
    put(store, "p")
    proxy.faults.append(Fault(("PUT", "/a?"), answer=(202, body)))
    store.put_manifest("a", [Segment("p", len(DATA), MD5)], content_type="a/b")
    assert proxy.count("PUT", "/a?") == 2


def test_an_upload_that_a_web_server_accepts_is_not_stored(store, proxy):
    proxy.faults.append(Fault(("PUT", "/a"), 9, answer=(201, b"")))
    with pytest.raises(StoreRefused, match="does not answer like an object store"):
        put(store)


def test_a_manifest_put_that_no_heartbeat_service_answers(store, proxy):
    put(store, "p")
    answer = (201, b"")
    etag = hashlib.md5(MD5.encode()).hexdigest()
    header = f'Etag: "{etag}"\r\n'.encode()
    proxy.faults.append(Fault(("PUT", "/a?"), answer=answer, headers=header))
    stored = store.put_manifest("a", [Segment("p", len(DATA), MD5)], content_type="a/b")
    assert stored.etag == etag


def test_bulk_delete_looks_at_every_result(open_store, proxy):
    store = open_store(retry_seconds=1.0)
    store.ensure_container()
    put(store, "p", b"x")
    told = b'{"Response Status": "400 Bad Request", "Number Deleted": 1, "Number Not Found": 0,'
    for reason, error in [(b"503 x", StoreUnreachable), (b"403 Forbidden", StoreRefused)]:
        body = told + b'"Errors": [["/c/p", "' + reason + b'"]]}'
        proxy.faults[:] = [Fault(("POST", "bulk-delete"), 99, answer=(200, body))]
        with pytest.raises(error):
            store.delete_many(["p", "q"])
    proxy.faults[:] = [Fault(("POST", "bulk-delete"), answer=(200, b"<html>not it</html>"))]
    assert store.delete_many(["p"]) == 1


def test_without_bulk_delete_one_by_one(open_store, proxy):
    store = open_store()
    proxy.faults.append(Fault(("/info",), answer=(200, b'{"swift": {}, "slo": {}}')))
    store.ensure_container()
    for name in "abc":
        put(store, name, b"x")
    assert store.delete_many(["a", "missing", "c"]) == 2
    assert proxy.count("POST", "bulk") == 0
    assert [one.name for one in store.list()] == ["b"]


def test_a_service_that_hides_its_info(open_store, proxy):
    proxy.faults.append(Fault(("/info",), 99, answer=(404, b"")))
    store = open_store()
    store.ensure_container()
    assert store.limits().manifest_segments == 1000
    assert put(store).etag == MD5


def test_a_service_without_large_objects_is_refused_at_once(open_store, proxy):
    proxy.faults.append(Fault(("/info",), 99, answer=(200, b'{"swift": {}}')))
    with pytest.raises(StoreRefused, match="cannot join"):
        open_store().ensure_container()


def test_a_server_that_accepts_and_never_answers(config_of, swift):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = SwiftStore(
            config_of(swift, port=silent.getsockname()[1], read_timeout=0.5, retry_seconds=1.0)
        )
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match="in time"):
            store.ensure_container()
        assert time.monotonic() - started < 4
        store.close()


@pytest.mark.parametrize("where", ["HEAD", "GET", "PUT"])
def test_silence_in_the_middle_ends(open_store, proxy, where):
    store = open_store(read_timeout=0.5, retry_seconds=1.0)
    store.ensure_container()
    proxy.faults.append(Fault((where, "/a"), 99, hang=True))
    calls = {
        "HEAD": lambda: store.head("a"),
        "GET": lambda: read(store),
        "PUT": lambda: put(store, data=b"x"),
    }
    started = time.monotonic()
    with pytest.raises(StoreUnreachable, match="in time"):
        calls[where]()
    assert time.monotonic() - started < 4


def test_an_answer_that_drips_ends(open_store, proxy):
    store = open_store(read_timeout=1.0, retry_seconds=0.5)
    store.ensure_container()
    put(store, data=b"x" * 500)
    list(store.list())
    proxy.faults.append(Fault(("GET",), 99, drip=0.2))
    for call in (lambda: list(store.list()), lambda: read(store)):
        started = time.monotonic()
        with pytest.raises(StoreUnreachable):
            call()
        assert time.monotonic() - started < 8


def test_nobody_listens(config_of, swift):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = SwiftStore(config_of(swift, port=port, retry_seconds=1.0))
    started = time.monotonic()
    with pytest.raises(StoreUnreachable) as caught:
        store.ensure_container()
    assert not caught.value.permanent
    assert time.monotonic() - started < 3


def test_a_host_that_is_not_known(config_of, swift):
    store = SwiftStore(
        config_of(swift, auth_url="http://no-such-host.invalid/auth/v1.0", retry_seconds=0.5)
    )
    with pytest.raises(StoreUnreachable, match=r"no-such-host\.invalid"):
        store.ensure_container()


def test_a_store_that_comes_back_in_time(config_of, swift):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = SwiftStore(config_of(swift, port=port))
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(store.ensure_container)
        time.sleep(1)
        assert not asked.done()
        with _forward(port, swift.ports["proxy"]):
            asked.result(15)
    store.close()


def test_an_endless_answer_is_given_up(open_store, proxy, monkeypatch):
    monkeypatch.setattr("portal.stores.swift_lane.ANSWER_BYTES", 10_000)
    store = open_store()
    store.ensure_container()
    proxy.faults.append(Fault(("GET", "format=json"), answer=(200, b"[" * 20_000)))
    with pytest.raises(StoreRefused, match="without end"):
        list(store.list())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[1]",
        b'[{"name": 5}]',
        b'[{"name": "b"}, {"name": "a"}]',
        b"[" * 9999,
    ],
    ids=lambda body: body[:20].decode(),
)
def test_a_listing_that_is_none(store, proxy, body):
    proxy.faults.append(Fault(("GET", "format=json"), answer=(200, body)))
    if not body:
        assert list(store.list()) == []
        return
    with pytest.raises(StoreError) as caught:
        list(store.list())
    assert caught.value.permanent


def test_a_web_server_is_not_a_store(store, proxy):
    proxy.faults.append(Fault(("HEAD", "/a"), answer=(200, b"")))
    with pytest.raises(StoreRefused, match="does not answer like an object store"):
        store.head("a")


def test_a_connection_that_the_store_closed_while_idle(config_of, own_swift):
    store = SwiftStore(config_of(own_swift(client_timeout=1).server))
    store.ensure_container()
    put(store)
    time.sleep(2.5)
    assert put(store).etag == MD5
    time.sleep(2.5)
    assert read(store) == DATA
    store.close()


def test_no_secret_in_any_text(open_store, proxy, caplog):
    caplog.set_level("DEBUG")
    store = open_store(retry_seconds=0.3, key="secret-key-of-the-customer")
    with pytest.raises(StoreRefused) as caught:
        store.ensure_container()
    seen = [repr(store._config), str(caught.value), repr(caught.value), caplog.text]
    good = open_store(retry_seconds=0.3)
    good.ensure_container()
    token = good._session.keyring.access().token
    proxy.faults.append(Fault(("PUT",), 99, answer=(400, b"no")))
    with pytest.raises(StoreRefused) as caught:
        put(good)
    seen += [repr(good._session.keyring.access()), repr(caught.value), caplog.text]
    for text in seen:
        assert "secret-key-of-the-customer" not in text
        assert token not in text
        assert "k" * 32 not in text


class _forward:  # noqa: N801 - reads as a verb where it is used
    """Listen on a port and pass connections on, while the block lasts."""

    def __init__(self, port: int, to: int) -> None:
        self._port, self._to = port, to

    def __enter__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket) -> None:
        with one, other:
            try:
                while data := one.recv(65536):
                    other.sendall(data)
            except OSError:
                return
