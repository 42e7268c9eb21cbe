"""What a plan tells of a disk's partitions, and that their free space is not read."""

import subprocess
from pathlib import Path

import snapcore

MIB = 1 << 20


def partitioned(folder: Path) -> Path:
    """A GPT with ext4 and with something that nobody knows."""
    disk, tree = folder / "disk", folder / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"content " * 50_000)
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    table = "label: gpt\nsize=40M,type=L,name=root\ntype=L\n"
    subprocess.run(["sfdisk", "-q", disk], input=table.encode(), check=True)
    make = ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", f"offset={MIB}", "-d", tree]
    subprocess.run([*make, disk, "40M"], check=True, capture_output=True)
    with disk.open("r+b") as file:
        file.seek(45 * MIB)
        file.write(b"something else")
    return disk


def test_partitions_are_told(tmp_path: Path) -> None:
    with snapcore.Disk(partitioned(tmp_path)) as disk:
        plan = disk.plan()
    assert (plan.partition_table, plan.reason) == ("gpt", None)
    root, other = plan.partitions
    assert (root.number, root.start, root.length, root.name) == (1, MIB, 40 * MIB, "root")
    assert root.type_id == "0fc63daf-8483-4772-8e79-3d69d8477de4"
    assert (root.file_system, root.label, root.reason) == ("ext4", "root", None)
    assert root.used_bytes is not None
    # All but a block or so: the first kibibyte belongs to no group.
    assert 0 <= 40 * MIB - root.used_bytes - root.unused_bytes <= 4096
    assert (other.file_system, other.used_bytes, other.unused_bytes) == ("", None, 0)
    assert other.reason == "Snapport does not know what is in it."
    unused = sum(extent.length for extent in plan.extents if extent.kind == "unused")
    assert unused == root.unused_bytes > 20 * MIB


def test_nothing_is_looked_at_if_every_sector_is_wanted(tmp_path: Path) -> None:
    with snapcore.Disk(partitioned(tmp_path)) as disk:
        plan = disk.plan(skip_unused=False)
    assert (plan.partition_table, plan.partitions, plan.reason) == (None, [], None)
    assert all(extent.kind != "unused" for extent in plan.extents)
