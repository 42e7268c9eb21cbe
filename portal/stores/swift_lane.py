"""One HTTP connection to a store at a time, and the pool of them.

What must always hold:
- Every request has three limits: to connect, of silence, and of its whole time. The last is kept by
  a timer that cuts the socket, because a peer that drips bytes never hits a limit of silence.
- A body is read no further than `ANSWER_BYTES`, never unpacked; redirects are not followed and the
  environment's proxies not used: the address was typed by a customer, and the token must not
  travel elsewhere.
- What fails below HTTP comes out as `StoreUnreachable` (or `StoreRefused` for a bad certificate).

python-swiftclient's own connection carries the requests; its `Connection` does not, since its
retries hide the first error, know no total time and read answers without limit.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import swiftclient.client
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from portal.domain.errors import StoreRefused, StoreUnreachable
from portal.stores.header_number import header_number
from portal.stores.swift_body import SEND_CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portal.stores.config import StoreConfig
from portal.stores.swift_body import Body, FileBody

ANSWER_BYTES = 64 * 1024**2
"""A listing page of 10,000 names of 1,024 bytes, escaped as JSON, stays below."""
SLOWEST = 128 * 1024
"""Bytes a second: a body that moves slower than this on average is given up."""
SLOWEST_READ = 1024
"""The same for what is read: low, since Swift gives small pieces of a manifest one a second."""
LINGER = 1.0
"""Seconds after which a read gives what it has."""
IDLE_LANES = 16
"""Connections kept open when nobody uses them."""

# swiftclient logs requests; by default it shows half of a token or key.
swiftclient.client.logger_settings["reveal_sensitive_prefix"] = 0

TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    swiftclient.client.ClientException,
    OSError,
    ValueError,  # headers that are not text, addresses that are none
)


_TIMEOUTS = (requests.Timeout, TimeoutError, urllib3.exceptions.TimeoutError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Lane:
    """One connection: one request at a time, by one thread at a time."""

    def __init__(self, url: str, config: StoreConfig) -> None:
        self.host = urlsplit(url).hostname or "?"
        self.silence = config.read_timeout
        self._connection: urllib3.connection.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._overdue = False
        if config.ca_file and not Path(config.ca_file).is_file():
            raise StoreRefused("The certificate file set for this store is not there.")
        try:
            self._http = swiftclient.client.HTTPConnection(
                url,
                cacert=config.ca_file or None,
                timeout=(config.connect_timeout, config.read_timeout),
            )
        except TRANSPORT_ERRORS as error:
            raise StoreRefused("The store gave an address that cannot be used.") from error
        self.session: requests.Session = self._http.request_session
        self.session.trust_env = False
        # Even without following, requests would read a redirect's body whole, however long.
        self.session.get_redirect_target = lambda _response: None
        adapter = _Adapter(self)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body | FileBody | bytes = b"",
        seconds: float | None = None,
    ) -> Answer:
        """One request and its whole answer, in at most `seconds` (else what the body may take)."""
        size = len(body)
        limit = seconds or self.silence + size / SLOWEST
        with self._within(limit):
            response = self._send(method, path, headers, body)
            taken = response.raw.read(ANSWER_BYTES + 1, decode_content=False)
            if len(taken) > ANSWER_BYTES:
                raise StoreRefused(f"The store at {self.host} answers without end.")
            answer = Answer(response.status_code, _headers(response), taken)
        told = header_number(answer.headers.get("content-length", ""))
        # The timer's cut looks like an end, and without a length it would be taken for one.
        if self._overdue:
            raise StoreUnreachable(f"The store at {self.host} did not answer in time.")
        if method != "HEAD" and told not in {None, len(taken)}:
            raise StoreUnreachable(f"The store at {self.host} stopped in the middle of an answer.")
        return answer

    def open(self, path: str, *, headers: Mapping[str, str]) -> Stream:
        """A GET whose body is read as it comes."""
        with self._within(self.silence):
            return Stream(self, self._send("GET", path, headers, b""))

    def read(self, response: requests.Response, count: int) -> bytes:
        """The next bytes of an open answer, at most `count`; none only at its end."""
        pieces: list[bytes] = []
        got = 0
        begun = time.monotonic()
        with self._within(self.silence + LINGER):
            # Not read(count): what came before a failure would be lost, and the read could not go
            # on behind it. After a failure the next call finds the answer ended.
            while got < count and time.monotonic() - begun < LINGER:
                try:
                    piece = response.raw.read1(count - got, decode_content=False)
                except TRANSPORT_ERRORS:
                    if not got:
                        raise
                    break
                if not piece:
                    break
                pieces.append(piece)
                got += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection."""
        with suppress(*TRANSPORT_ERRORS):
            self._http.close()
        self._connection = self._socket = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut this lane's sockets if the block takes longer."""
        self._overdue = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """`within`, with the transport's errors translated."""
        try:
            with self.within(seconds):
                yield
        except TRANSPORT_ERRORS as error:
            raise self.translate(error) from error

    def translate(self, error: Exception) -> StoreUnreachable | StoreRefused:
        """What failed below HTTP, as one sentence."""
        if self._overdue or _is(error, _TIMEOUTS):
            return StoreUnreachable(f"The store at {self.host} did not answer in time.")
        if _is(error, (ssl.SSLCertVerificationError,)):
            return StoreRefused(f"The certificate of the store at {self.host} is not trusted.")
        if _is(error, (urllib3.exceptions.NameResolutionError, socket.gaierror)):
            return StoreUnreachable(f"The store's host {self.host} is not known.")
        return StoreUnreachable(f"The connection to the store at {self.host} failed.")

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: Body | FileBody | bytes
    ) -> requests.Response:
        # swiftclient's `request` would follow redirects; its session is what we want of it.
        url = f"{self._http.parsed_url.scheme}://{self._http.parsed_url.netloc}{path}"
        sent = {name: value.encode() for name, value in headers.items()}
        sent.setdefault("User-Agent", b"snapport")
        return self.session.request(
            method,
            url,
            data=body if len(body) else b"",  # type: ignore[arg-type]
            headers=sent,
            allow_redirects=False,
            **self._http.requests_args,
        )

    def _remember(
        self,
        connection: urllib3.connection.HTTPConnection,
        connected: socket.socket | None = None,
    ) -> None:
        # The socket by itself, too: after "Connection: close" the connection lets go of it while
        # the answer is still being read.
        self._connection, self._socket = connection, connected

    def _cut(self) -> None:
        self._overdue = True
        for one in {self._socket, self._connection.sock if self._connection else None} - {None}:
            # Not SSLSocket.shutdown: that would pull TLS away under the reading thread.
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # type: ignore[arg-type]


class Stream:
    """An answer whose body is still to be read."""

    def __init__(self, lane: Lane, response: requests.Response) -> None:
        self._lane = lane
        self._response = response
        self._waited = 0.0
        self._got = 0
        self.status = response.status_code
        self.headers = _headers(response)

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; none only at the end."""
        begun = time.monotonic()
        taken = self._lane.read(self._response, count)
        self._waited += time.monotonic() - begun
        self._got += len(taken)
        if self._waited > self._lane.silence and self._got < self._waited * SLOWEST_READ:
            raise StoreUnreachable(f"The store at {self._lane.host} is too slow.")
        return taken


class Lanes:
    """The lanes to one address: lent out, kept for the next, closed after a failure."""

    def __init__(self, config: StoreConfig) -> None:
        self._config = config
        self._idle: list[tuple[str, Lane]] = []
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, url: str) -> Iterator[Lane]:
        """A lane for this block alone."""
        origin = "/".join(url.split("/")[:3])
        lane = self._take(origin) or Lane(url, self._config)
        try:
            yield lane
        except BaseException:
            # Whatever it was, an answer may be left half read.
            lane.close()
            raise
        with self._lock:
            if len(self._idle) < IDLE_LANES:
                self._idle.append((origin, lane))
                return
        lane.close()

    def close(self) -> None:
        """Close the idle lanes; those in use close when they come back or fail."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, lane in idle:
            lane.close()

    def _take(self, origin: str) -> Lane | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == origin:
                    return self._idle.pop(index)[1]
        return None


class _Timed:
    """Sends under the limit of silence, not under that of connecting, and shows its socket."""

    sock: socket.socket
    lane: Lane

    def connect(self) -> None:
        self.lane._remember(self)  # type: ignore[arg-type]
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(self.lane.silence)
        self.lane._remember(self, self.sock)  # type: ignore[arg-type]


class _TimedHTTP(_Timed, urllib3.connection.HTTPConnection):
    pass


class _TimedHTTPS(_Timed, urllib3.connection.HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    """Large writes, connections that can be cut, and answers of bounded size."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, blocksize=SEND_CHUNK)
        self.poolmanager.pool_classes_by_scheme = {
            "http": functools.partial(self._pool, urllib3.HTTPConnectionPool, _TimedHTTP),  # type: ignore[dict-item]
            "https": functools.partial(self._pool, urllib3.HTTPSConnectionPool, _TimedHTTPS),  # type: ignore[dict-item]
        }

    def _pool(
        self,
        pool_class: type[urllib3.HTTPConnectionPool],
        connection_class: type[urllib3.connection.HTTPConnection],
        *args: Any,
        **kwargs: Any,
    ) -> urllib3.HTTPConnectionPool:
        def connection(*args: Any, **kwargs: Any) -> urllib3.connection.HTTPConnection:
            made = connection_class(*args, **kwargs)
            made.lane = self._lane  # type: ignore[attr-defined]
            return made

        pool = pool_class(*args, **kwargs)
        pool.ConnectionCls = connection  # type: ignore[assignment]
        return pool

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        stream = kwargs.get("stream", False)
        kwargs["stream"] = True
        response = super().send(request, *args, **kwargs)
        if not stream:
            # keystoneauth reads whole answers; give it no more than one should be.
            body = response.raw.read(ANSWER_BYTES + 1, decode_content=False)
            if len(body) > ANSWER_BYTES:
                raise requests.exceptions.ContentDecodingError("an answer without end")
            response._content = body
            response._content_consumed = True
        return response


def _headers(response: requests.Response) -> dict[str, str]:
    """Header values as text: the wire's bytes are UTF-8, http.client gave them as Latin-1."""
    return {
        name.lower(): value.encode("latin-1").decode("utf-8", errors="replace")
        for name, value in response.headers.items()
    }


def _is(error: BaseException | None, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether the error, what it wraps, or what caused it is of these kinds."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        if isinstance(one, kinds):
            return True
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return False
