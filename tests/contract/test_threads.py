"""One store, many threads."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor


def test_eight_threads_share_one_store(store):
    def work(number: int) -> None:
        chance = random.Random(number)
        for turn in range(6):
            name = f"{number}/{turn}"
            data = chance.randbytes(chance.randrange(400_000))
            md5 = hashlib.md5(data).hexdigest()
            assert store.put(name, data, md5=md5, content_type="a/b").etag == md5
            assert b"".join(store.get(name)) == data
            assert store.head(name).size == len(data)
            if turn % 2:
                assert store.delete(name)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert [one.name for one in store.list()] == [f"{n}/{t}" for n in range(8) for t in (0, 2, 4)]


def test_reads_may_overlap_in_one_thread(store, put):
    put("a", b"a" * 3_000_000)
    put("b", b"b" * 3_000_000)
    first, second = store.get("a"), store.get("b")
    mixed = [next(first), next(second)]
    assert store.head("a").size == 3_000_000
    put("c", b"c")
    assert mixed[0] + b"".join(first) == b"a" * 3_000_000
    assert mixed[1] + b"".join(second) == b"b" * 3_000_000


def test_a_read_may_be_left_in_the_middle(store, put):
    put("a", b"a" * 5_000_000)
    for _ in range(20):
        reading = store.get("a")
        next(reading)
        reading.close()
    assert store.head("a").size == 5_000_000
