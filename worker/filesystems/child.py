"""The process that mounts: `python -m worker.filesystems.child REPORT_FD`, in a mount namespace.

It speaks in lines of JSON. It is asked on its standard input: which volumes there are; then, for an
archive, which paths to leave out, or which drivers to look for. It answers on REPORT_FD: what it
mounted; then, how tar ended and what tar cannot keep, or what the server starts with. The archive
goes to its standard output. It ends when its input does.

It runs as root and knows nothing of the portal: no database, no store, no settings. An archive
waits for its start, so it imports little and `site` not at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.filesystems import fstab, notes, subvolumes
from worker.filesystems.ahead import Ahead
from worker.filesystems.kernel import KernelView
from worker.filesystems.tree import RAW, Refused, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAR = (
    *("tar", "--create", "--file=-", "--format=posix", "--sort=name", "--numeric-owner"),
    *("--xattrs", "--xattrs-include=*", "--acls", "--selinux", "--sparse", "--one-file-system"),
    # The same files give the same bytes: no process number, no times that reading changes.
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    # Written 64 KiB at a time: the tests' Debian disk into a pipe takes 0.26 s, not 0.45 s.
    *("--blocking-factor=128", "--anchored", "--wildcards"),
)
_MEMBERS = ("--null", "--verbatim-files-from", "--files-from=-")
"""Behind the patterns: tar applies those to what follows only."""
_APART = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child")
"""tar writes its process number into the names of sparse files: here it is always 1."""
_RIGHTS = ("--bounding-set", "-all,+dac_read_search,+sys_admin", "--no-new-privs")
"""Read every file (dac_read_search), and the attributes “trusted” (sys_admin): no more."""
_SAID = 20
_LINE = 500


def main(report_fd: int) -> int:
    """Mount, report, wait to be told, archive or look, report."""
    with os.fdopen(report_fd, "w") as report:

        def tell(answer: dict[str, Any]) -> None:
            report.write(json.dumps(answer) + "\n")
            report.flush()

        asked = json.loads(sys.stdin.readline())
        view = KernelView(Path(asked["scratch"]))
        tree = Tree(view, asked["volumes"])
        try:
            tell(tree.mount(asked["only"]))
        except Refused as refused:
            tell({"refused": str(refused), "detail": refused.detail})
            return 1
        except fstab.Unusable as unusable:
            tell({"refused": f"{unusable} So its files cannot be taken: {RAW}", "detail": ""})
            return 1
        line = sys.stdin.readline()
        if not line:
            return 1
        told = json.loads(line)
        if "drivers" in told:
            tell(_drivers(view, told["drivers"]))
        else:
            tell(_archive(view.root, tree, told["exclude"]))
    return 0


def _drivers(view: KernelView, wanted: list[str]) -> dict[str, Any]:
    """What the server starts with, or why that is not known."""
    from worker.filesystems import startup  # an archive begins sooner without it
    from worker.filesystems.initramfs import NotKnown

    try:
        return startup.look(view, wanted)
    except (NotKnown, OSError) as error:
        return {"not known": str(error)}


def _archive(root: Path, tree: Tree, exclude: list[str]) -> dict[str, Any]:
    """Write the archive to the standard output; how that ended, and what tar cannot keep."""
    patterns = [f"--exclude={pattern}" for pattern in tree.patterns(exclude)]
    nested = list(_subvolumes(os.fsencode(root), tree, exclude))
    members = [f".{path}".rstrip("/").encode() for path in tree.mount_points]
    members += [b"." + path for path in nested]
    noted: list[dict[str, Any]] = []
    ahead = Ahead(members)
    index, write = os.pipe()
    paths = [member.removeprefix(b".") for member in members]
    beside = (
        threading.Thread(target=ahead.follow, args=[index]),
        threading.Thread(target=lambda: noted.append(notes.walk(os.fsencode(root), paths, ahead))),
    )
    shown = ("--verbose", f"--index-file=/dev/fd/{write}", "--quoting-style=escape")
    with subprocess.Popen(  # noqa: S603
        [*_APART, "setpriv", *_RIGHTS, *_TAR, *shown, *patterns, *_MEMBERS],
        cwd=root,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[write],
    ) as tar:
        # The end of the index and of the archive is seen only when nobody else holds them open.
        os.close(write)
        os.close(1)
        for thread in beside:
            thread.start()
        _, complaints = tar.communicate(b"\0".join(members))
    for thread in beside:
        thread.join()
    said = [line[:_LINE] for line in complaints.decode(errors="replace").splitlines()]
    told = [line for line in said if "socket ignored" not in line]
    return {
        "exit": tar.returncode,
        "said": told[-_SAID:],
        "subvolumes": [notes.shown(path) for path in nested[: notes.MOST]],
        **noted[0],  # where the walk failed this fails, and with it the archive
    }


def _subvolumes(root: bytes, tree: Tree, exclude: list[str]) -> Iterator[bytes]:
    """Those of the mounted file systems, but for what is mounted itself or left out."""
    leave = {os.fsencode(path.rstrip("/")) for path in [*tree.mount_points, *exclude]}
    for path in tree.mount_points_of("btrfs"):
        yield from subvolumes.below(root, os.fsencode(path), leave)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
