"""Request bodies."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.domain.errors import DiskUnavailable, StoreError
from portal.stores.swift_body import Body, FileBody


@given(data=st.binary(max_size=500), counts=st.lists(st.integers(1, 100)))
def test_a_body_gives_all_of_itself_again_and_again(data, counts):
    for body in (Body(data), FileBody(io.BytesIO(data), len(data))):
        assert len(body) == len(data)
        for count in counts:
            body.read(count)
        for _ in range(2):
            body.rewind()
            assert b"".join(iter(lambda body=body: bytes(body.read(7)), b"")) == data
            assert bytes(body.read(7)) == b""
        body.rewind()
        assert bytes(body.read()) == data


def test_a_buffer_is_not_copied():
    data = bytearray(b"0123456789")
    body = Body(data)
    piece = body.read(4)
    data[0] = ord("x")
    assert bytes(piece) == b"x123"


def test_buffers_of_other_items_count_bytes():
    import array

    assert len(Body(array.array("I", [1, 2, 3]))) == 12


def test_a_file_begins_where_it_stood():
    file = io.BytesIO(b"skip0123456789rest")
    file.seek(4)
    body = FileBody(file, 10)
    assert body.read() == b"0123456789"
    body.rewind()
    assert body.read(3) == b"012"


def test_a_file_that_ends_too_early():
    body = FileBody(io.BytesIO(b"0123"), 10)
    assert body.read(8) == b"0123"
    with pytest.raises(StoreError, match="ended after 4 of 10 bytes"):
        body.read(8)


def test_a_file_that_fails():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

        def seek(self, *_):
            raise OSError(5, "Input/output error")

    body = FileBody(Failing(b"0123"), 4)
    with pytest.raises(DiskUnavailable):
        body.read(1)
    with pytest.raises(DiskUnavailable):
        body.rewind()
