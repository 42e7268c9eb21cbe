"""A snapshot from a disk here to the real Swift: what stands in the store, what is sent again."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from portal.domain.index import canonical
from tests.functional.worker.house import MIB, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.worker.house import House


def test_store_layout_and_download(house: House) -> None:
    taken = house.done()
    names = house.objects()
    parts = {name for name in names if name.startswith("web-1/.part/")}
    assert names - parts == {
        f"{taken.folder}/{label}" for label in ("web-1.raw.gz", "snapshot.json", "README.txt")
    }
    assert parts == {f"web-1/.part/{p.sha256[:2]}/{p.sha256}" for p in house.parts()}
    assert house.whole(taken)
    assert taken.source == house.disk.stat().st_size
    assert taken.size == len(house.download(taken))
    assert taken.reused == 0
    assert taken.sent == taken.size


def test_readme_tells_the_download_hashes(sqlite_house: House) -> None:
    taken = sqlite_house.done()
    readme = sqlite_house.download(taken, "README.txt").decode()
    image = sqlite_house.download(taken)
    assert hashlib.md5(image).hexdigest() in readme
    assert hashlib.sha256(image).hexdigest() in readme
    assert f"{len(image)} bytes" in readme
    assert "ssh-keygen -A" in readme
    assert max(len(line) for line in readme.splitlines() if "web-1" not in line) <= 79


def test_index_is_canonical_and_reads_back_any_frame(sqlite_house: House) -> None:
    import snapcore

    taken = sqlite_house.done()
    text = sqlite_house.download(taken, "snapshot.json").decode()
    index = sqlite_house.index(taken)
    assert text == canonical(index) + "\n"
    disk = sqlite_house.disk.read_bytes()
    [file] = index["files"]
    checked = 0
    with closing(sqlite_house.open()) as store:
        for number, part in enumerate(file["parts"]):
            data = b"".join(
                store.get(f"{index['pool']}/.part/{part['sha256'][:2]}/{part['sha256']}")
            )
            at = 10 if number == 0 else 0
            source = part["offset"]
            for compressed in part.get("frames", ()):
                length = min(snapcore.FRAME_SIZE, part["offset"] + part["length"] - source)
                frame = snapcore.inflate(data[at : at + compressed], length)
                assert frame == disk[source : source + length]
                at += compressed
                source += length
                checked += 1
    assert checked >= 37


def test_unchanged_disk_sends_no_part(house: House) -> None:
    first = house.done()
    second = house.done()
    assert second.sent == 0
    assert second.reused == second.size == first.size
    assert first.folder != second.folder
    assert house.download(first) == house.download(second)


def test_small_change_sends_little(sqlite_house: House) -> None:
    first = sqlite_house.done()
    with sqlite_house.disk.open("r+b") as disk:
        disk.seek(45 * MIB)
        disk.write(b"changed")
    second = sqlite_house.done()
    assert sqlite_house.whole(second)
    # The part that changed, and the last one, which carries the checksum of the whole.
    assert 0 < second.sent < 20 * MIB
    assert second.sent + second.reused == second.size
    assert len(sqlite_house.download(first)) == first.size


def test_parts_survive_a_lost_database_record(sqlite_house: House) -> None:
    """What the record claims is proven by the store: a part that vanished there is sent again."""
    sqlite_house.done()
    victim = max(sqlite_house.parts(), key=lambda part: part.size)
    with closing(sqlite_house.open()) as store:
        assert store.delete(f"web-1/.part/{victim.sha256[:2]}/{victim.sha256}")
    second = sqlite_house.done()
    assert second.sent == victim.size
    assert sqlite_house.whole(second)


def test_many_parts_nest_manifests(sqlite_house: House) -> None:
    fill(
        sqlite_house.disk,
        1100 * 1024 * MIB + 4096,
        data=[(5 * 1024 * MIB + 3, 3 * MIB), (1090 * 1024 * MIB, MIB)],
    )
    taken = sqlite_house.done()
    [file] = sqlite_house.index(taken)["files"]
    assert len(file["parts"]) > 1000
    pieces = {name for name in sqlite_house.objects() if "/.manifest/" in name}
    assert len(pieces) == 2
    with closing(sqlite_house.open()) as store:
        digest = hashlib.md5()
        for chunk in store.get(f"{taken.folder}/web-1.raw.gz"):
            digest.update(chunk)
    assert digest.hexdigest() == file["md5"]
    assert taken.sent < 40 * MIB
    sqlite_house.ask_delete(taken)
    sqlite_house.run()
    assert sqlite_house.objects() == set()


def test_all_zeros(sqlite_house: House) -> None:
    fill(sqlite_house.disk, 33 * MIB, data=[])
    taken = sqlite_house.done()
    assert sqlite_house.whole(taken)


def test_gunzip_of_the_download(sqlite_house: House, tmp_path) -> None:
    taken = sqlite_house.done()
    image = tmp_path / "web-1.raw.gz"
    image.write_bytes(sqlite_house.download(taken))
    subprocess.run(["gunzip", "--test", image], check=True)
    assert gzip.decompress(image.read_bytes()) == sqlite_house.disk.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a/b",
        "..",
        'it\'s "quoted"',
        "сервер-例",
        "%2F",
        "x" * 255,
        "/" * 255,
        "#?&;=+",
        "é" * 127,
    ],
)
def test_hostile_names(house_named: Callable[[str], House], name: str) -> None:
    house = house_named(name)
    fill(house.disk, 3 * MIB, data=[(MIB, 5000)])
    taken = house.done()
    [file] = house.index(taken)["files"]
    assert gzip.decompress(house.download(taken, file["name"])) == house.disk.read_bytes()
    assert house.index(taken)["server"] == name
    second = house.done()
    assert second.sent == 0
    house.ask_delete(taken)
    house.run()
    house.ask_delete(second)
    house.run()
    assert house.objects() == set()
