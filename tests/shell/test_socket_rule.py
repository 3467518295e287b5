"""The rules of the socket and the state folder, in the shim and in Python, over environments.

(tests of zdeferctl and of the daemon hold theirs to `paths.socket_path`, which is one.)
"""

import os
import subprocess

import pytest
from shell.conftest import PLUGIN

from zdeferd.machine.paths import socket_path, state_dir

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HOME": "/home/u"},
    {"HOME": ""},
    {"HOME": "relative"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1000"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": ""},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "run/user"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/with space/"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "/tmp/s"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "", "XDG_RUNTIME_DIR": "/run/user/1"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "s", "XDG_RUNTIME_DIR": "/run/user/1"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "~/s"},
    {"HOME": "/home/u", "XDG_STATE_HOME": "/elsewhere"},
    {"HOME": "/home/ü\udcff*[x]", "LANG": "C.UTF-8"},
    {"HOME": "/", "ZDEFERD_SOCKET": "/a//b/../c"},
]
PLATFORMS = {"linux": "linux-gnu", "darwin": "darwin23.0"}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("number", range(len(ENVIRONMENTS)))
def test_the_shim_finds_the_socket_that_python_finds(number: int, platform: str) -> None:
    env = ENVIRONMENTS[number] | {"PATH": os.environ["PATH"]}
    code = f"source {PLUGIN}; OSTYPE={PLATFORMS[platform]}; zdeferd-socket; print -rn -- $REPLY"
    if "HOME" not in env:
        code = f"unset HOME; {code}"
    found = subprocess.run(["zsh", "-fc", code], env=env, capture_output=True, check=True)
    assert found.stderr == b""
    assert os.fsdecode(found.stdout) == socket_path(env, platform)


def test_a_parameter_that_is_not_exported_is_not_seen_by_either() -> None:
    code = f"source {PLUGIN}; ZDEFERD_SOCKET=/x XDG_RUNTIME_DIR=/y; zdeferd-socket; print $REPLY"
    env = {"HOME": "/home/u", "PATH": os.environ["PATH"]}
    found = subprocess.run(
        ["zsh", "-fc", code], env=env, capture_output=True, check=True, text=True
    )
    assert found.stdout.strip() == socket_path(env, "linux")


@pytest.mark.parametrize(
    "env",
    [
        {"HOME": "/home/u"},
        {"HOME": "/home/u", "XDG_STATE_HOME": ""},
        {"HOME": "/home/u", "XDG_STATE_HOME": "state"},
        {"HOME": "/home/u", "XDG_STATE_HOME": "/s p/*"},
        {"HOME": "/home/u", "ZDEFERD_SOCKET": "/x", "XDG_RUNTIME_DIR": "/y"},
    ],
)
def test_the_shim_finds_the_state_folder_that_python_finds(env: dict[str, str]) -> None:
    visit = PLUGIN.parent / "defer/visit.zsh"
    code = f"source {PLUGIN}; source {visit}; .zdeferd-state; print -rn -- $REPLY"
    found = subprocess.run(
        ["zsh", "-fc", code],
        env=env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout == state_dir(env)
    assert found.stderr == ""
