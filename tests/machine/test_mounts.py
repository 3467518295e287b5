"""The file system of a path, from the text of /proc/mounts."""

import pytest

from zdeferd.machine.mounts import file_system

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
