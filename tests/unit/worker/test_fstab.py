"""A server's /etc/fstab: what is taken from it, and what is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.filesystems import fstab
from worker.filesystems.fstab import Mount, Unusable

TEXT = """\
# /etc/fstab: static file system information.
UUID="A-B" /            ext4  errors=remount-ro 0 1
LABEL=boot /boot        ext2  defaults          0 2
/dev/vg/x  /srv/a\\040b  xfs   defaults,nofail   0 2
/dev/sda9  /home        btrfs subvol=@home      0 0
/dev/sda5  none         swap  sw                0 0
tmpfs      /tmp         tmpfs size=1g           0 0
server:/x  /mnt/nfs     nfs   defaults          0 0
/srv/x     /srv/y       none  bind              0 0
/dev/sr0   /media/cd    udf   user,noauto       0 0
/dev/sdz1  /late        ext4  noauto            0 0
short
"""


def test_what_holds_files_is_taken_in_the_order_of_mounting() -> None:
    assert fstab.parse(TEXT) == [
        Mount("UUID=A-B", "/", "ext4", optional=False),
        Mount("LABEL=boot", "/boot", "ext2", optional=False),
        Mount("/dev/sda9", "/home", "btrfs", optional=False, subvolume="subvol=@home"),
        Mount("/dev/vg/x", "/srv/a b", "xfs", optional=True),
    ]


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("UUID=ABCD-01", "uuid=abcd-01"),
        ('UUID="ABCD-01"', "UUID=abcd-01"),
        ("/dev/disk/by-uuid/abcd-01", "UUID=ABCD-01"),
        ("PARTUUID=Ab-02", "/dev/disk/by-partuuid/ab-02"),
        ("LABEL=my disk", "/dev/disk/by-label/my\\x20disk"),
    ],
)
def test_the_same_thing_by_another_name(spec: str, same: str) -> None:
    assert fstab.normal(spec) == fstab.normal(same)


def test_labels_keep_their_case() -> None:
    assert fstab.normal("LABEL=Root") != fstab.normal("LABEL=root")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/dev/sda1 /a/../../etc ext4 x", "no plain path"),
        ("/dev/sda1 /a\\007b ext4 x", "no plain path"),
        ("/dev/sda1 / ext4 x\n/dev/sda2 /./ ext4 x", "mounts / twice"),
        ("/dev/sda1 / btrfs subvol=a,b=$(x)\n/dev/sda1 /x btrfs subvol=;x", "subvolume"),
        ("/dev/sda1 /x ext4 x\n" * 201, "too many lines"),
    ],
)
def test_what_cannot_be_followed_is_refused(line: str, sentence: str) -> None:
    with pytest.raises(Unusable, match=sentence):
        fstab.parse(line)


@given(st.text(max_size=2000))
def test_any_text_ends_well(text: str) -> None:
    try:
        mounts = fstab.parse(text)
    except Unusable:
        return
    for mount in mounts:
        assert mount.path.startswith("/")
        assert ".." not in mount.path.split("/")
        assert mount.path.isprintable()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["UUID=1", "/dev/sda1", '"x', "a\\040b"]),
            st.sampled_from(["/", "/a", "/a/b", "/a/../b", "none", "//c/./d"]),
            st.sampled_from(["ext4", "xfs", "swap", "auto"]),
            st.sampled_from(["defaults", "nofail", "bind", "subvol=@", "subvol=.."]),
        ),
        max_size=6,
    )
)
def test_mount_points_come_before_what_is_in_them(lines: list[tuple[str, ...]]) -> None:
    try:
        mounts = fstab.parse("\n".join(" ".join(line) for line in lines))
    except Unusable:
        return
    paths = [mount.path for mount in mounts]
    assert len(set(paths)) == len(paths)
    for at, path in enumerate(paths):
        assert all(not path.startswith(later.rstrip("/") + "/") for later in paths[at + 1 :])
