"""The rows with a store: the real worker's snapshot into a real Swift on loopback.

The peer is what people type: `pigz -1 | swift upload`, segments of 64 MiB, joined by a manifest.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from bench import inputs, limits
from bench.clock import BenchFailed, Timed, in_turns, shell
from bench.rows import Row
from bench.stack import Stack, stack
from bench.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stack import WorkerMemory
    from portal.stores.config import StoreConfig
    from portal.stores.interface import StoredObject

SEGMENT = 64 * 1024**2
MEMORY_LIMIT = 300.0
_BODY = 6 * 1024**2
"""About the size of a part of the Debian disk."""


def debian(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Disk to Swift beside the pipeline; then the snapshot of a disk that did not change."""
    disk = inputs.debian()
    with stack() as house:
        storing, streaming = [], []

        def ours() -> Timed:
            customer = house.customer(disk)
            taken = house.take(customer)
            house.empty(customer.config)
            storing.append(_storing_alone(house, taken.sent))
            streaming.append(stream(disk).cpu / limits.cores())
            return taken.timed

        turns = in_turns(
            {"ours": ours, "pigz | swift": lambda: _pipeline(house, disk)}, rounds, say
        )
        unchanged, memory = _unchanged(house, disk)
    ratios = turns.ratios("pigz | swift", "ours")
    alone, streamed = statistics.median(storing), statistics.median(streaming)
    return [
        Row(
            name="swift-vs-pipeline",
            what="Debian disk to Swift on loopback, beside pigz -1 | swift upload (64 MiB)",
            ours=turns.median("ours"),
            peer=turns.median("pigz | swift"),
            unit="s",
            ratio=statistics.median(ratios),
            sense="≥",
            target=3.0,
            spread=(ratios[0], ratios[-1]),
            runs=rounds,
            limit=alone + streamed,
            limit_by=f"Swift and the stream share {limits.cores()} cores: storing as many bytes "
            f"two at a time and nothing else {alone:.2f} s, and the stream's CPU seconds over the "
            f"cores {streamed:.2f} s",
            note="ours is the time from the wish to DONE: queue, manifests and README included",
        ),
        unchanged,
        _memory("memory-debian", "the Debian disk", memory),
    ]


def memory(_rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The dense and the huge disk: what the worker has in memory."""
    rows = []
    with stack() as house:
        for name, disk, path in (
            ("memory-dense", "2 GiB of dense file data", inputs.dense()),
            ("memory-sparse", "1 TiB sparse with 1 GiB of data", inputs.sparse(inputs.LARGE)),
        ):
            customer = house.customer(path)
            rows.append(_memory(name, disk, house.take(customer, watch_memory=True).memory))
            say(f"  {disk}: {rows[-1].ours:.1f} MiB")
            if name == "memory-dense":
                what = f"{disk}, stored, exported as qcow2"
                rows.append(_memory("memory-export", what, house.export(customer, "qcow2").memory))
                say(f"  {what}: {rows[-1].ours:.1f} MiB")
            house.empty(customer.config)
    return rows


def sparse(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """1 TiB sparse into Swift: its time beside 8 GiB's."""
    with stack() as house:

        def take(size: int) -> Timed:
            customer = house.customer(inputs.sparse(size))
            taken = house.take(customer)
            house.empty(customer.config)
            return taken.timed

        turns = in_turns(
            {"8 GiB": lambda: take(inputs.SMALL), "1 TiB": lambda: take(inputs.LARGE)},
            rounds,
            say,
        )
    ratios = turns.ratios("1 TiB", "8 GiB")
    return [
        Row(
            name="sparse-swift",
            what="1 TiB sparse disk with 1 GiB of data to Swift; the peer is 8 GiB with the same",
            ours=turns.median("1 TiB"),
            peer=turns.median("8 GiB"),
            unit="s",
            ratio=statistics.median(ratios),
            sense="≤",
            target=2.0,
            spread=(ratios[0], ratios[-1]),
            runs=rounds,
        )
    ]


def _unchanged(house: Stack, disk: Path) -> tuple[Row, WorkerMemory]:
    customer = house.customer(disk)
    first = house.take(customer, watch_memory=True)
    before = _parts(house, customer.config)
    second = house.take(customer)
    if _parts(house, customer.config) != before:
        raise BenchFailed("A second snapshot of the same disk changed the pool of parts.")
    house.empty(customer.config)
    if not first.sent:
        raise BenchFailed("The first snapshot into an empty store sent nothing.")
    row = Row(
        name="unchanged",
        what="second snapshot of the unchanged Debian disk, bytes of parts sent",
        ours=second.sent,
        peer=first.sent,
        unit="bytes",
        ratio=second.sent / first.sent,
        sense="=",
        target=0,
        judged="ours",
        note=f"the first took {first.timed.seconds:.2f} s, the second {second.timed.seconds:.2f} s",
    )
    return row, first.memory


def _parts(house: Stack, config: StoreConfig) -> list[StoredObject]:
    with house.opened(config) as store:
        return [stored for stored in store.list() if "/.part/" in stored.name]


def _memory(name: str, disk: str, memory: WorkerMemory) -> Row:
    return Row(
        name=name,
        what=f"the most memory of the worker and its job's process, {disk}",
        ours=memory.at_most / 1024**2,
        peer=None,
        unit="MiB",
        ratio=None,
        sense="≤",
        target=MEMORY_LIMIT,
        judged="ours",
        note="the kernel's high-water marks of both processes, what they share counted twice; "
        f"counted once (PSS, sampled) {memory.shared_once / 1024**2:.1f} MiB",
    )


def _pipeline(house: Stack, disk: Path) -> Timed:
    """`pigz -1 | swift upload` into a container of its own."""
    config = house.new_container()
    swift = Path(sys.executable).with_name("swift")
    command = (
        f"pigz -1 -c {quote(str(disk))} | {quote(str(swift))} --quiet upload --use-slo "
        f"--segment-size {SEGMENT} --object-name disk.raw.gz {config.container} -"
    )
    timed = shell(
        command, env={"ST_AUTH": config.auth_url, "ST_USER": config.user, "ST_KEY": config.key}
    )
    with house.opened(config) as store:
        stored = store.head("disk.raw.gz")
        if stored is None or not stored.is_manifest:
            raise BenchFailed("swift upload did not leave a manifest.")
    house.empty(config)
    segments = config.container + "_segments"
    house.empty(replace(config, container=segments))
    return timed


def _storing_alone(house: Stack, size: int) -> float:
    """Seconds to store this many bytes, two objects at a time as the worker does."""
    config = house.new_container()
    bodies = [
        (f"{number:04}", min(_BODY, size - at)) for number, at in enumerate(range(0, size, _BODY))
    ]
    noise = os.urandom(_BODY)
    with house.opened(config) as store, ThreadPoolExecutor(2) as pool:
        store.ensure_container()
        store.put("warm", b"warm", md5=_md5(b"warm"), content_type="text/plain")
        whole = _md5(noise)

        def put(name: str, length: int) -> None:
            body = memoryview(noise)[:length]
            digest = whole if length == _BODY else _md5(body)
            store.put(name, body, md5=digest, content_type="application/octet-stream")

        started = time.perf_counter()
        for done in [pool.submit(put, name, length) for name, length in bodies]:
            done.result()
        seconds = time.perf_counter() - started
    house.empty(config)
    return seconds


def _md5(body: bytes | memoryview) -> str:
    return md5(body, usedforsecurity=False).hexdigest()
