"""Raw snapshots without unused space: sound, with every file.

Whatever is damaged on a disk, what can still be read of it can be read of its snapshot.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests.interop import volumes
from tests.interop.volumes import KINDS, SECTOR

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from tests.interop.volumes import Kind

EXAMPLES = 15


class Filled:
    """A volume as it was made, what can be read of it, and where it can be damaged."""

    def __init__(self, name: str, folder: Path) -> None:
        self.kind: Kind = KINDS[name]
        self.path = folder / "volume"
        volumes.make(self.kind, self.path, seed=7)
        self.files = volumes.readable(self.kind, self.path)
        self.own = volumes.own_sectors(self.path)
        with self.path.open("rb") as volume:
            self.maps = [at for at in self.own if _is_map(volume, at)] or self.own

    def damaged(self, path: Path, damage: list[tuple[str, int, int, int]]) -> None:
        subprocess.run(["cp", "--sparse=always", self.path, path], check=True)
        with path.open("r+b") as volume:
            for how, place, one, other in damage:
                places = self.maps if how == "free" else self.own
                at = places[place % len(places)]
                volume.seek(at)
                sector = bytearray(volume.read(SECTOR))
                if how == "free":  # what is in use for what is not
                    used = [at for at, byte in enumerate(sector) if byte == 0xFF] or [one]
                    free = [at for at, byte in enumerate(sector) if byte == 0] or [other]
                    _swap(sector, used[one % len(used)], free[other % len(free)])
                elif how == "swap":
                    _swap(sector, one, other)
                elif how == "flip":
                    sector[one] ^= 1 << (other % 8)
                else:
                    sector[one] = other % 256
                volume.seek(at)
                volume.write(sector)


def _swap(sector: bytearray, one: int, other: int) -> None:
    """Two bytes that change places keep every count as it was."""
    sector[one], sector[other] = sector[other], sector[one]


def _is_map(volume: BinaryIO, at: int) -> bool:
    """Looks like a map of what is in use: much is, much is not."""
    volume.seek(at)
    sector = volume.read(SECTOR)
    return min(sector.count(0xFF), sector.count(0)) >= 16


@pytest.fixture(scope="module", params=KINDS)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return Filled(request.param, tmp_path_factory.mktemp("volume"))


def test_it_comes_back_sound_with_every_file(filled: Filled, tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    partition = volumes.smart_raw(filled.path, restored)
    assert partition.reason is None
    assert partition.unused_bytes > filled.kind.size // 3
    subprocess.run([*filled.kind.check, restored], check=True, capture_output=True)
    assert len(filled.files) > 80
    assert volumes.readable(filled.kind, restored) == filled.files


@given(
    damage=st.lists(
        st.tuples(
            st.sampled_from(["swap", "flip", "set", "free"]),
            st.integers(0, 1 << 32),
            st.integers(0, SECTOR - 1),
            st.integers(0, SECTOR - 1),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each mounts twice: no shrinking
)
def test_damage_loses_no_file_that_the_plain_disk_has(
    filled: Filled, tmp_path: Path, damage: list[tuple[str, int, int, int]]
) -> None:
    plain, restored = tmp_path / "plain", tmp_path / "restored"
    filled.damaged(plain, damage)
    partition = volumes.smart_raw(plain, restored)
    event("skipped" if partition.unused_bytes else "taken whole")
    if not partition.unused_bytes:
        assert partition.reason
        return
    assert volumes.readable(filled.kind, restored) == volumes.readable(filled.kind, plain)
