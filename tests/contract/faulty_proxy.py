"""An HTTP proxy in front of the real Swift that fails as told: one request a connection.

A `Fault` applies to the requests that it matches, `times` times. What it does not touch is passed
on byte for byte.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl


@dataclass
class Fault:
    """What goes wrong with a request whose first line holds all of `words`."""

    words: tuple[str, ...]
    times: int = 1
    skip: int = 0
    """Matching requests to let through first."""
    delay: float = 0.0
    answer: tuple[int, bytes] | None = None
    """A status, and a body, instead of asking Swift."""
    headers: bytes = b""
    """More header lines for `answer`."""
    early: bool = False
    """Give `answer` before the request's body was read, and cut the connection."""
    cut_request_after: int | None = None
    """Bytes of the request's body that get through before the connection breaks."""
    lose_answer: bool = False
    """Let Swift do it, and break the connection in place of the answer."""
    cut_answer_after: int | None = None
    """Bytes of the answer's body that get through before the connection breaks."""
    drip: float = 0.0
    """Seconds between single bytes of the answer."""
    replace: tuple[bytes, bytes] | None = None
    """A change to the answer's head."""
    hang: bool = False
    """Never answer."""


@dataclass
class FaultyProxy:
    """Listens on loopback while the block lasts; `seen` holds the first line of every request."""

    upstream: int
    tls: ssl.SSLContext | None = None
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        # A thread in accept() does not notice that its socket was closed: knock.
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def count(self, *words: str) -> int:
        """How many requests had all these words in their first line."""
        return sum(all(word in line for word in words) for line in self.seen)

    def _start(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
                self._open.append(client)
            self._converse(client)

    def _converse(self, client: socket.socket) -> None:
        with client:
            head, _, rest = self._head(client)
            if not head:
                return
            line = head.split(b"\r\n")[0].decode("latin-1")
            length = _content_length(head)
            fault = self._fault(line)
            self._ending.wait(fault.delay)
            if fault.hang:
                self._ending.wait(60)
                return
            if fault.answer and fault.early:
                client.sendall(_answer(fault))
                _reset(client)
                return
            body = self._rest(client, rest, length, fault.cut_request_after)
            if fault.cut_request_after is not None:
                _reset(client)
                return
            if fault.answer:
                client.sendall(_answer(fault))
                return
            self._pass_on(client, head, body, fault)

    def _pass_on(self, client: socket.socket, head: bytes, body: bytes, fault: Fault) -> None:
        lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"connection:")]
        with socket.create_connection(("127.0.0.1", self.upstream), 60) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            answer, _, rest = self._head(server)
            if fault.lose_answer:
                while server.recv(65536):
                    pass
                _reset(client)
                return
            if fault.replace:
                answer = answer.replace(*fault.replace)
            client.sendall(answer + b"\r\n\r\n")
            left = fault.cut_answer_after
            while rest:
                if left is not None:
                    rest = rest[:left]
                    left -= len(rest)
                if fault.drip:
                    for byte in rest:
                        client.sendall(bytes([byte]))
                        time.sleep(fault.drip)
                        if self._ending.is_set():
                            return
                client.sendall(rest if not fault.drip else b"")
                if left == 0:
                    _reset(client)
                    return
                rest = server.recv(262144)

    def _fault(self, line: str) -> Fault:
        with self._lock:
            self.seen.append(line)
            for fault in self.faults:
                if not fault.times or not all(word in line for word in fault.words):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return Fault(())

    @staticmethod
    def _head(peer: socket.socket) -> tuple[bytes, bytes, bytes]:
        """The head, and what came after it already."""
        taken = b""
        while b"\r\n\r\n" not in taken:
            more = peer.recv(65536)
            if not more:
                return b"", b"", b""
            taken += more
        head, mark, rest = taken.partition(b"\r\n\r\n")
        if not rest and _content_length(head) and head.startswith(b"HTTP/"):
            rest = peer.recv(65536)
        return head, mark, rest

    @staticmethod
    def _rest(peer: socket.socket, body: bytes, length: int, cut: int | None) -> bytes:
        wanted = length if cut is None else min(cut, length)
        taken = bytearray(body)
        while len(taken) < wanted:
            more = peer.recv(262144)
            if not more:
                raise ConnectionError
            taken += more
        return bytes(taken)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _answer(fault: Fault) -> bytes:
    status, body = fault.answer or (500, b"")
    return (
        b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n"
        % (status, len(body), fault.headers)
    ) + body


def _reset(peer: socket.socket) -> None:
    """Close with RST, as a broken line or a gateway that died does."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
