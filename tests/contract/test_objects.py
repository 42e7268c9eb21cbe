"""Objects: what every store does with one."""

from __future__ import annotations

import hashlib
import io
import itertools
import random

import pytest

from portal.domain.errors import (
    DiskUnavailable,
    ObjectDamaged,
    ObjectMissing,
    StoreError,
)
from portal.stores.interface import StoredObject

NAMES = [
    "plain",
    "with space",
    " leading and trailing ",
    "double  space",
    "quote\"s and 'single'",
    "Žluťoučký/kůň/ώ/日本語/🎉",
    "100%/%2F/%41%zz",
    "#?&;=+,:@!$()*[]~`^|\\<>{}",
    "tab\tand\nnewline",
    "slash/at/end/",
    "double//slash",
    "...",
    "a/.b/..c/d..",
    "-",
    "é" * 500,
    "%" * 1024,
    "n" * 1024,
]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def read(store, name, **span) -> bytes:
    return b"".join(store.get(name, **span))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_any_name_comes_back_as_it_was(store, put, name):
    data = b"body of " + name.encode()
    assert put(name, data) == StoredObject(name, len(data), md5(data))
    assert store.head(name) == StoredObject(name, len(data), md5(data))
    assert read(store, name) == data
    assert [one.name for one in store.list()] == [name]
    assert store.delete(name) is True
    assert store.head(name) is None
    assert store.delete(name) is False


BAD_NAMES = ["", ".", "..", "a/../b", "./a", "a/.", "x" * 1025, "é" * 513, "nul\0", "lone\ud800"]


def test_a_name_that_cannot_be_is_refused_everywhere(store):
    uses = [
        lambda name: store.put(name, b"", md5=md5(b""), content_type="a/b"),
        lambda name: store.put_manifest(name, [], content_type="a/b"),
        store.head,
        lambda name: read(store, name),
        store.delete,
        lambda name: store.delete_many([name]),
        lambda name: store.temp_url(name, filename="f", seconds=60),
        store.manifest_segments,
    ]
    for name, use in itertools.product(BAD_NAMES, uses):
        with pytest.raises(StoreError, match="cannot be used in a store") as caught:
            use(name)
        assert caught.value.permanent
    assert list(store.list()) == []


def test_an_empty_body(store, put):
    assert put("empty", b"").size == 0
    assert store.head("empty").size == 0
    assert read(store, "empty") == b""
    with pytest.raises(ObjectDamaged):
        read(store, "empty", length=1)


def test_a_body_may_be_any_buffer(store):
    data = random.Random(1).randbytes(3 * 1024**2 + 5)
    for number, body in enumerate([data, bytearray(data), memoryview(data), memoryview(data)[0:]]):
        store.put(f"b{number}", body, md5=md5(data), content_type="a/b")
        assert read(store, f"b{number}") == data


def test_a_stream_is_sent_from_where_it_stands(store):
    data = random.Random(2).randbytes(2 * 1024**2)
    file = io.BytesIO(b"before" + data + b"after")
    file.seek(6)
    stored = store.put_stream("s", file, size=len(data), md5=md5(data), content_type="a/b")
    assert stored == StoredObject("s", len(data), md5(data))
    assert read(store, "s") == data


def test_a_stream_that_is_too_short_is_our_own_fault(store):
    with pytest.raises(StoreError, match="ended after 5 of 10 bytes") as caught:
        store.put_stream("s", io.BytesIO(b"short"), size=10, md5=md5(b"short"), content_type="a/b")
    assert caught.value.permanent
    assert store.head("s") is None


def test_a_disk_that_cannot_be_read_is_not_an_unreachable_store(store):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(DiskUnavailable):
        store.put_stream("s", Broken(), size=10, md5=md5(b""), content_type="a/b")
    assert store.head("s") is None


def test_a_wrong_md5_stores_nothing(store):
    with pytest.raises(ObjectDamaged):
        store.put("a", b"data", md5=md5(b"other"), content_type="a/b")
    assert store.head("a") is None


def test_a_wrong_md5_leaves_what_was_there(store, put):
    put("a", b"first")
    with pytest.raises(ObjectDamaged):
        store.put("a", b"data", md5=md5(b"other"), content_type="a/b")
    assert read(store, "a") == b"first"


@pytest.mark.parametrize("wrong", ["", "xyz", "A" * 32, md5(b"") + "0"])
def test_an_md5_must_be_one(store, wrong):
    with pytest.raises(StoreError, match="MD5"):
        store.put("a", b"", md5=wrong, content_type="a/b")


def test_a_later_put_replaces(store, put):
    put("a", b"first")
    put("a", b"second")
    assert read(store, "a") == b"second"


def test_ranges(store, put):
    data = bytes(range(256)) * 8192
    put("r", data)
    size = len(data)
    for start, length in [(0, 1), (0, size), (1, None), (size - 1, None), (1000, 1_500_000)]:
        end = size if length is None else start + length
        assert read(store, "r", start=start, length=length) == data[start:end]
    assert read(store, "r", start=size) == b""
    assert read(store, "r", length=0) == b""
    assert read(store, "r", start=size, length=0) == b""


def test_a_range_beyond_the_end_is_never_silently_short(store, put):
    put("r", b"0123456789")
    for span in (
        {"start": 11},
        {"start": 5, "length": 6},
        {"length": 11},
        {"start": 99, "length": 1},
    ):
        with pytest.raises(ObjectDamaged, match="has 10 bytes") as caught:
            read(store, "r", **span)
        assert caught.value.permanent


def test_what_is_not_there(store):
    assert store.head("nothing") is None
    for span in ({}, {"start": 5}, {"length": 0}, {"start": 3, "length": 4}):
        with pytest.raises(ObjectMissing):
            read(store, "nothing", **span)
    with pytest.raises(ObjectMissing):
        store.manifest_segments("nothing")
    assert store.delete("nothing") is False


def test_without_a_container(make_store):
    store = make_store()
    with pytest.raises(ObjectMissing, match="container"):
        store.put("a", b"", md5=md5(b""), content_type="a/b")
    with pytest.raises(ObjectMissing):
        list(store.list())
    with pytest.raises(ObjectMissing):
        read(store, "a")
    assert store.head("a") is None
    store.ensure_container()
    store.ensure_container()
    store.put("a", b"", md5=md5(b""), content_type="a/b")
    assert make_store().head("a").size == 0


def test_delete_many(store, put):
    names = [name for name in NAMES if name != "plain"]
    for name in names:
        put(name, b"x")
    put("kept", b"x")
    asked = ["missing", *names, "also/missing", names[0]]
    assert store.delete_many(iter(asked)) == len(names)
    assert [one.name for one in store.list()] == ["kept"]
    assert store.delete_many([]) == 0
    assert store.delete_many(["missing"]) == 0


def test_a_closed_store_can_be_used_again(store, put):
    put("a", b"x")
    store.close()
    assert store.head("a") is not None
