"""Finds the file system of a folder, and refuses those that come over a network.

Owns the list of file systems that come over a network. On these flock(2) may hold on one
host only or not at all, and SQLite's write-ahead log needs memory that its users share:
two hosts would run the same job, or damage the ledger. zdeferd refuses to start there.

Reads /proc/mounts, where there is one (Linux): unlike statfs(2) it tells one FUSE file
system from another. Standard library only.
"""

import os
import re

from ..errors import UnsafePath

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "lustre", "glusterfs", "afpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "virtiofs", "drvfs", "webdav"}
)
MOUNTS = "/proc/mounts"


def network_file_system(path: str) -> str | None:
    """The type of the network file system that holds `path`; None: it is not on one."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            kind = file_system(os.path.realpath(path), file.read())
    except OSError:
        return None
    return kind if kind in NETWORK_FILE_SYSTEMS else None


def check_local(path: str, setting: str) -> None:
    """UnsafePath where `path` is on a network file system; `setting` moves it."""
    if kind := network_file_system(path):
        raise UnsafePath(
            f"on {kind}, where locks, sockets and the ledger are not reliable: {path}",
            f"set {setting} to a path on a local disk",
        )


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that holds `path`, by the text of /proc/mounts."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), words[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, words[2]
    return kind
