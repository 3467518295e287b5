"""The file system of a path, from the text of /proc/mounts or of macOS's mount(8)."""

import sys
from pathlib import Path

import pytest

from zdeferd.machine import mounts
from zdeferd.machine.mounts import file_system, foreign_file_system, macos_file_system

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /run/user/1000 tmpfs rw 0 0
/dev/sdb1 /home/u/with\\040space ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x", "ext4"),
        ("/home/u/.local", "nfs4"),
        ("/home", "nfs4"),
        ("/homework", "ext4"),
        ("/run/user/1000/zdeferd", "tmpfs"),
        ("/home/u/with space/x", "ext4"),
    ],
)
def test_file_system(path: str, kind: str) -> None:
    assert file_system(path, MOUNTS) == kind


def test_a_path_that_no_line_holds_has_no_type() -> None:
    assert file_system("/x", "/dev/sda1 /y ext4 rw 0 0\n") == ""


MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
//u@server/homes on /Volumes/homes (smbfs, nodev, nosuid, mounted by u)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
/dev/disk5s1 on /Volumes/A (b) (hfs, local, nodev)
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/opt/u/.local", ("apfs", True)),
        ("/Volumes/homes/u", ("smbfs", False)),
        ("/Volumes/A (b)/x", ("hfs", True)),
    ],
)
def test_macos_says_what_is_local(path: str, found: tuple[str, bool]) -> None:
    assert macos_file_system(path, MACOS) == found


def test_a_path_unknown_to_macos_counts_as_local() -> None:
    assert macos_file_system("/x", "") == ("", True)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list is Linux's")
@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        *((kind, False) for kind in ("ext4", "zfs", "fuseblk", "fuse", "fuse.gocryptfs")),
        *((kind, True) for kind in ("ceph", "gpfs", "beegfs", "lustre", "wekafs", "nfs4")),
        *((f"fuse.{kind}", True) for kind in ("ceph-fuse", "juicefs", "sshfs", "bindfs")),
    ],
)
def test_what_is_not_known_to_be_local_is_foreign(
    kind: str, foreign: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "mounts"
    listed.write_text(f"/dev/sda1 / xfs rw 0 0\nservers:/x {tmp_path.resolve()} {kind} rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", str(listed))
    assert foreign_file_system(str(tmp_path / "state")) == (kind if foreign else None)


def test_where_no_list_can_be_read_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", str(tmp_path / "none"))
    monkeypatch.setattr(mounts, "_MACOS_MOUNT", str(tmp_path / "none"))
    assert foreign_file_system(str(tmp_path)) is None
