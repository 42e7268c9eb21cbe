"""The bootable Debian disk: 4 GiB, MBR, ext4, a kernel, sshd, extlinux; made with debootstrap.

What must always hold:
- The disk under its name is whole and its file system was checked; a failed or killed maker leaves
  no disk, no mount, no loop device and no process behind.
- Packages come from the mirror that apt is set up with, found when the disk is made.

It takes about 100 s, needs root, and is then kept in `.cache/disks` until the recipe changes.
`python -m tests.disks.debian` makes it and prints where it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.disks.cache import CACHE, made_once, recipe_key

SIZE = 4 * 1024**3
_RECIPE = Path(__file__).with_name("debian-recipe")


class DiskNotMade(RuntimeError):
    """A test disk could not be made; the message says why in one sentence."""


def debian_disk() -> Path:
    """The path of the disk. Others read it too: do not write to it."""
    release = _release()
    key = recipe_key(_RECIPE.read_bytes(), str(SIZE), release)
    return made_once(CACHE / "disks", "debian", ".raw", key, lambda path: _make(path, release))


def _make(path: Path, release: str) -> None:
    if os.geteuid() != 0:
        raise DiskNotMade("Making the Debian disk takes root: it mounts a file system.")
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        # The recipe runs in a process and a mount namespace of its own, tied to this process:
        # should either end, the kernel ends every process in it, and with the last its mounts.
        done = subprocess.run(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
                *(_RECIPE, path, str(SIZE), release, _mirror(release)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        said = log.read_text(errors="replace").strip().splitlines()
        raise DiskNotMade(
            f"The Debian disk could not be made ({said[-1] if said else done.returncode}); "
            f"{log} says more."
        )
    log.unlink()


def _release() -> str:
    """The release that this machine runs; its debootstrap and its mirror both know that one."""
    facts = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    if facts.get("ID") != "debian":
        raise DiskNotMade("The Debian disk is made on Debian alone, from apt's own mirror.")
    return facts["VERSION_CODENAME"].strip('"')


def _mirror(release: str) -> str:
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for line in listed.splitlines():
        codename, _, address = line.partition(" ")
        if codename == release:
            return address
    raise DiskNotMade(f"apt is set up with no mirror of Debian {release}.")


if __name__ == "__main__":
    try:
        print(debian_disk())
    except DiskNotMade as error:
        sys.exit(str(error))
