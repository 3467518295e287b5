"""Finds the file system of a folder, and refuses what is not known to be local.

Owns the list of local file systems. On one that several hosts share, flock(2) may hold on one
host only or not at all, and SQLite's write-ahead log needs memory that its users share: two
hosts would run the same job, or damage the ledger. Such file systems are many, and new ones
come, so zdeferd refuses to start on all others.

Reads /proc/mounts on Linux: unlike statfs(2) it gives the type of a FUSE file system. On
macOS mount(8) says which are local. Where neither answers, nothing is refused. Standard
library only.
"""

import os
import re
import sys

from ..errors import UnsafePath

LOCAL_FILE_SYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "bcachefs", "f2fs", "jfs", "nilfs2"}
    | {"reiserfs", "reiser4", "ufs", "ubifs", "jffs2", "ntfs3", "apfs", "hfs", "hfsplus"}
    | {"tmpfs", "ramfs", "rootfs", "overlay", "overlayfs", "aufs", "shiftfs", "ecryptfs"}
    # WSL 1 keeps its root on these two.
    | {"lxfs", "wslfs"}
    # A FUSE file system on a block device, and one without a type: those of clusters have one.
    | {"fuseblk", "fuse"}
    # The root of rootless containers, and encrypted home folders.
    | {"fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs"}
)
MOUNTS = "/proc/mounts"
_MACOS_MOUNT = "/sbin/mount"


def foreign_file_system(path: str) -> str | None:
    """Return the type of the file system that holds `path`, None where that is local.

    None also where it cannot be found out.
    """
    real = os.path.realpath(path)
    if sys.platform == "darwin":
        kind, local = macos_file_system(real, _said_by_mount())
        return None if local else kind
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            kind = file_system(real, file.read())
    except OSError:
        return None
    return None if not kind or kind in LOCAL_FILE_SYSTEMS else kind


def check_local(path: str, setting: str) -> None:
    """Raise UnsafePath where `path` is not on a local file system; `setting` moves it."""
    if kind := foreign_file_system(path):
        raise UnsafePath(
            f"on {kind}, where locks, sockets and the ledger are not reliable: {path}",
            f"set {setting} to a path on a local disk",
        )


def file_system(path: str, mounts: str) -> str:
    """Return the type of the file system that holds `path`, by the text of /proc/mounts.

    Empty: no line has it.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), words[1])
        if _holds(point, path) and len(point) >= len(best):
            best, kind = point, words[2]
    return kind


def macos_file_system(path: str, mounts: str) -> tuple[str, bool]:
    """Return the type of the file system that holds `path`, and whether it is local.

    `mounts` is the output of mount(8): `/dev/disk3s1 on / (apfs, local, journaled)`. A path
    that no line holds counts as local.
    """
    best, kind, local = "", "", True
    for line in mounts.splitlines():
        match = re.fullmatch(r".* on (/.*) \(([^()]*)\)", line)
        if match and _holds(match[1], path) and len(match[1]) >= len(best):
            words = match[2].split(", ")
            best, kind, local = match[1], words[0], "local" in words
    return kind, local


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _said_by_mount() -> str:
    import subprocess  # macOS only: `zdeferctl why` starts faster without it

    try:
        done = subprocess.run(
            (_MACOS_MOUNT,), capture_output=True, text=True, errors="surrogateescape", check=False
        )
    except OSError:
        return ""
    return done.stdout
