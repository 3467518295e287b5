"""Checks of the machine, on texts of other machines."""

from zdeferd.doctor.machine import container_kind, is_wsl, version_of


def test_small_rules() -> None:
    assert is_wsl("5.15.90.1-microsoft-standard-WSL2\n")
    assert not is_wsl("6.1.0-13-amd64")
    assert container_kind("", lambda path: path == "/.dockerenv") == "docker"
    assert container_kind("lxc", lambda path: False) == "lxc"
    assert container_kind("", lambda path: False) is None
    assert version_of("5.9") == (5, 9)
    assert version_of("5.8.1-dev") == (5, 8)
    assert version_of("") == (0, 0)
