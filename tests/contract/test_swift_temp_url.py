"""Download links: anybody may fetch, under the right name, until they expire."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
import urllib.request
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest

from portal.domain.errors import StoreError, StoreRefused
from portal.stores.interface import Segment
from portal.stores.swift import SwiftStore
from portal.stores.temp_url import SLOTS
from tests.contract.faulty_proxy import Fault, FaultyProxy
from tests.contract.test_objects import NAMES

DATA = b"data" * 1000
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def config(swift, config_of):
    return config_of(swift)


@pytest.fixture
def store(config):
    store = SwiftStore(config)
    store.ensure_container()
    yield store
    store.close()


def put(store, name):
    return store.put(name, DATA, md5=MD5, content_type="application/gzip")


def fetch(url: str):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read(), answer.headers


def saved_as(headers) -> str:
    """What a browser calls the download (RFC 6266: `filename*` wins)."""
    return unquote(re.search(r"filename\*=UTF-8''([^;]+)", headers["Content-Disposition"])[1])


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_any_object_downloads(store, name):
    put(store, name)
    data, headers = fetch(store.temp_url(name, filename="f.gz", seconds=60))
    assert data == DATA
    assert headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    "filename", ["web-1.raw.gz", "a b.gz", "q\"uo'te.gz", "Ž日本🎉.gz", "50%;x=&y#z?.gz", "back\\s"]
)
def test_the_file_has_its_name(store, filename):
    put(store, "a")
    _, headers = fetch(store.temp_url("a", filename=filename, seconds=60))
    assert saved_as(headers) == filename


def test_a_manifest_downloads_whole_and_in_ranges(store):
    put(store, "p")
    store.put_manifest("m", [Segment("p", len(DATA), MD5)] * 3, content_type="a/b")
    url = store.temp_url("m", filename="m", seconds=60)
    assert fetch(url)[0] == DATA * 3
    part = urllib.request.Request(url, headers={"Range": f"bytes={len(DATA) - 2}-{len(DATA) + 1}"})
    assert fetch(part)[0] == b"tada"


def test_a_link_expires(store):
    put(store, "a")
    url = store.temp_url("a", filename="f", seconds=1)
    time.sleep(2.1)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(url)


def test_a_link_opens_one_object_for_reading(store):
    put(store, "a")
    put(store, "b")
    url = store.temp_url("a", filename="f", seconds=60)
    for wrong in (url.replace("/a?", "/b?"), re.sub("sig=....", "sig=0000", url)):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(wrong)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(urllib.request.Request(url, method="DELETE"))


def test_the_strongest_digest_is_used(store, swift, config):
    put(store, "a")
    assert "temp_url_sig=sha512:" in store.temp_url("a", filename="f", seconds=60)
    with FaultyProxy(swift.ports["proxy"]) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/auth/v1.0"
        for digests, pattern in [('["sha1", "sha256"]', "sig=[0-9a-f]{64}&"), ('["md5"]', None)]:
            told = f'{{"swift": {{}}, "tempurl": {{"allowed_digests": {digests}}}}}'
            proxy.faults[:] = [Fault(("/info",), answer=(200, told.encode()))]
            other = SwiftStore(replace(config, auth_url=address))
            if pattern:
                assert re.search(pattern, other.temp_url("a", filename="f", seconds=60))
            else:
                with pytest.raises(StoreRefused):
                    other.temp_url("a", filename="f", seconds=60)
            other.close()


def test_a_store_without_a_key(config):
    store = SwiftStore(config.with_temp_url_key(""))
    store.ensure_container()
    with pytest.raises(StoreError, match="no key"):
        store.temp_url("a", filename="f", seconds=60)
    store.close()


@pytest.mark.parametrize("seconds", [0, -5])
def test_a_link_for_no_time(store, seconds):
    with pytest.raises(StoreError):
        store.temp_url("a", filename="f", seconds=seconds)


def keys(store) -> list[str | None]:
    answer = store._session.ask("HEAD", f"/{quote(store.container)}", what="it")
    return [answer.headers.get(slot) for slot in SLOTS]


def test_nobodys_key_is_taken_from_slot_one(store, config):
    assert keys(store) == ["k" * 32, None]
    second = SwiftStore(config.with_temp_url_key("second" * 6))
    second.ensure_container()
    assert keys(store) == ["k" * 32, "second" * 6]
    store.ensure_container()
    second.ensure_container()
    assert keys(store) == ["k" * 32, "second" * 6]
    put(store, "a")
    for one in (store, second):
        assert fetch(one.temp_url("a", filename="f", seconds=60))[0] == DATA
    third = SwiftStore(config.with_temp_url_key("third!" * 6))
    third.ensure_container()
    assert keys(store) == ["k" * 32, "third!" * 6]
    assert fetch(third.temp_url("a", filename="f", seconds=60))[0] == DATA
    second.close()
    third.close()
