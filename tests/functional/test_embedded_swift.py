"""The embedded Swift is the real one: what the product needs of it works over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import swiftclient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunningSwift, SwiftEndpoint


@pytest.fixture
def connection(swift_endpoint: SwiftEndpoint) -> Iterator[swiftclient.Connection]:
    with closing(_connect(swift_endpoint)) as connection:
        connection.put_container("files")
        yield connection


def _connect(endpoint: SwiftEndpoint) -> swiftclient.Connection:
    return swiftclient.Connection(
        endpoint.auth_url, endpoint.user, endpoint.key, timeout=20, retries=0
    )


def _put_manifest(connection: swiftclient.Connection, pieces: list[bytes]) -> None:
    segments = []
    for number, piece in enumerate(pieces):
        etag = connection.put_object("files", f"piece/{number}", piece)
        segments.append({"path": f"/files/piece/{number}", "etag": etag, "size_bytes": len(piece)})
    connection.put_object(
        "files",
        "whole",
        json.dumps(segments).encode(),
        query_string="multipart-manifest=put",
    )


def test_static_large_object_is_one_file(connection: swiftclient.Connection) -> None:
    pieces = [bytes([number]) * (1024 * 1024 + number) for number in range(3)]
    _put_manifest(connection, pieces)
    headers, body = connection.get_object("files", "whole")
    assert body == b"".join(pieces)
    assert headers["x-static-large-object"] == "True"


def test_manifest_with_a_wrong_etag_is_refused(connection: swiftclient.Connection) -> None:
    connection.put_object("files", "piece", b"abc")
    manifest = json.dumps([{"path": "/files/piece", "etag": "0" * 32, "size_bytes": 3}])
    with pytest.raises(swiftclient.ClientException) as raised:
        connection.put_object(
            "files", "whole", manifest.encode(), query_string="multipart-manifest=put"
        )
    assert raised.value.http_status == 400


@pytest.mark.parametrize("digest", [hashlib.sha256, hashlib.sha512])
def test_temp_url_serves_a_manifest_to_anybody(
    connection: swiftclient.Connection, digest: Callable[[], object]
) -> None:
    _put_manifest(connection, [b"a" * 1024 * 1024, b"the end"])
    connection.post_account({"X-Account-Meta-Temp-URL-Key": "secret"})
    path = connection.url.partition("/v1/")[2]
    path = f"/v1/{path}/files/whole"
    expires = int(time.time()) + 60
    signature = hmac.new(b"secret", f"GET\n{expires}\n{path}".encode(), digest).hexdigest()
    host = connection.url.partition("/v1/")[0]
    address = f"{host}{path}?temp_url_sig={signature}&temp_url_expires={expires}"
    with urllib.request.urlopen(f"{address}&filename=whole.bin", timeout=20) as answer:
        assert answer.read() == b"a" * 1024 * 1024 + b"the end"
        assert 'filename="whole.bin"' in answer.headers["Content-Disposition"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address.replace(signature, "0" * len(signature)), timeout=20)
    refused.value.close()
    assert refused.value.code == 401


def test_accounts_are_apart(
    another_swift_endpoint: SwiftEndpoint, connection: swiftclient.Connection
) -> None:
    connection.put_object("files", "mine", b"private")
    with closing(_connect(another_swift_endpoint)) as other:
        stranger = swiftclient.Connection(
            preauthurl=connection.url, preauthtoken=other.get_auth()[1], retries=0, timeout=20
        )
        with closing(stranger), pytest.raises(swiftclient.ClientException) as raised:
            stranger.get_object("files", "mine")
    assert raised.value.http_status == 403


def test_a_wrong_key_is_refused(swift_endpoint: SwiftEndpoint) -> None:
    wrong = swiftclient.Connection(
        swift_endpoint.auth_url, swift_endpoint.user, "wrong", retries=0, timeout=20
    )
    with closing(wrong), pytest.raises(swiftclient.ClientException) as raised:
        wrong.get_auth()
    assert raised.value.http_status == 401


def test_objects_survive_a_kill(own_swift: Callable[..., RunningSwift]) -> None:
    swift = own_swift()
    endpoint = swift.account()
    with closing(_connect(endpoint)) as connection:
        connection.put_container("files")
        connection.put_object("files", "kept", b"x" * 100_000)
    assert swift.child is not None
    swift.child.process.send_signal(signal.SIGKILL)
    swift.child.process.wait()
    swift.start()
    with closing(_connect(endpoint)) as connection:
        assert connection.get_object("files", "kept")[1] == b"x" * 100_000


def test_a_full_disk_is_a_503_until_there_is_room(
    own_swift: Callable[..., RunningSwift],
) -> None:
    swift = own_swift()
    with closing(_connect(swift.account())) as connection:
        connection.put_container("files")
        swift.start_again(fallocate_reserve="100%")
        with pytest.raises(swiftclient.ClientException) as raised:
            connection.put_object("files", "o", b"x")
        assert raised.value.http_status == 503
        swift.start_again(fallocate_reserve="1%")
        connection.put_object("files", "o", b"x")
