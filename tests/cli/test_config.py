"""`zdeferctl config`: shows settings and their origin, sets one, and leaves the rest as it is."""

import os
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.documented import documented, keys
from support.user import User, call

from zdeferd.jobs.keys import SETTING_KEYS

TEXT = """\
# my settings
idle_after = "2m"   # quiet for that long
jobs_at_once = 2
log = '''~/zsh
.log'''
"""
NUMBERS = [key for key in SETTING_KEYS if key not in ("log", "notify", "state_dir")]


def config(user: User, text: str) -> Path:
    path = user.config / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_all_settings_with_their_origin(user: User) -> None:
    config(user, 'idle_after = "2m"\n')
    lines = {line.split()[0]: line for line in call("config").out.splitlines()[1:]}
    assert list(lines) == list(SETTING_KEYS)
    assert lines["idle_after"].split(maxsplit=2)[1:] == [
        '"2m"',
        '~/.config/zdeferd/config.toml (default "1m")',
    ]
    assert lines["default_timeout"].split()[1:] == ['"10m"', "default"]
    assert lines["keep_runs"].split()[1] == '"90d"'
    assert lines["output_limit"].split()[1] == '"1MiB"'


@pytest.mark.parametrize("key", SETTING_KEYS)
def test_a_default_can_be_set_as_it_is_shown(user: User, key: str) -> None:
    shown = call("config", key).out.rstrip("\n")
    if not shown:  # a path: none is set
        return
    assert call("config", key, shown).code == 0
    one = call("config", key, "--json").document
    assert one["value"] == one["default"]
    assert one["set"] is True
    assert call("check").code == 0


def test_one_value_alone(user: User) -> None:
    config(user, 'idle_after = "2m"\njobs_at_once = 2\n')
    assert call("config", "idle_after").out == "2m\n"
    assert call("config", "jobs_at_once").out == "2\n"


def test_setting_leaves_the_rest_as_it_is(user: User) -> None:
    path = config(user, TEXT)
    result = call("config", "idle_after", "90s")
    assert result.code == 0
    where = "~/.config/zdeferd/config.toml"
    assert result.out == f'idle_after = "90s" ({where}); the daemon reads it at its next start\n'
    assert path.read_text() == TEXT.replace('"2m"', '"90s"')
    assert call("config", "kill_grace", "3").code == 0
    assert path.read_text() == TEXT.replace('"2m"', '"90s"') + "kill_grace = 3\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_value_of_several_lines_is_replaced(user: User) -> None:
    path = config(user, "log = '''/a\nb'''  # mine\njobs_at_once = 2\n")
    assert call("config", "log", "~/zsh.log").code == 0
    assert path.read_text() == 'log = "~/zsh.log"  # mine\njobs_at_once = 2\n'


def test_a_key_that_is_written_as_a_string(user: User) -> None:
    path = config(user, '"idle_after" = "2m"\n')
    assert call("config", "idle_after", "3m").code == 0
    assert path.read_text() == 'idle_after = "3m"\n'


def test_unset(user: User) -> None:
    path = config(user, TEXT)
    result = call("config", "idle_after", "--unset")
    assert result.out.startswith('idle_after = "1m", the default (')
    assert path.read_text() == TEXT.replace('idle_after = "2m"   # quiet for that long\n', "")
    assert call("config", "idle_after", "--unset").out.endswith("; as before\n")


def test_no_file_yet_and_a_file_that_is_a_link(user: User) -> None:
    assert call("config", "jobs_at_once", "2").code == 0
    path = user.config / "config.toml"
    assert path.read_text() == "jobs_at_once = 2\n"
    real = user.root / "dotfiles.toml"
    path.rename(real)
    path.symlink_to(real)
    assert call("config", "jobs_at_once", "3").code == 0
    assert path.is_symlink()
    assert real.read_text() == "jobs_at_once = 3\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("idle_aftr",), "no such setting: idle_aftr; did you mean idle_after?"),
        (("idle_aftr", "2m"), "no such setting: idle_aftr; did you mean idle_after?"),
        (("idle_after", "soon"), "not a value of idle_after: 'soon'; expected a duration"),
        (("jobs_at_once", "many"), "not a value of jobs_at_once: 'many'; expected a whole number"),
        (("log", "a\nb"), "not a value of log: "),
        *(((key, "9" * 400), f"not a value of {key}: '999") for key in NUMBERS),
    ],
)
def test_what_is_wrong_changes_nothing(user: User, words: tuple[str, ...], said: str) -> None:
    path = config(user, TEXT)
    result = call("config", *words)
    assert result.code == 1
    assert result.err.startswith(f"zdeferctl: {said}")
    assert result.err.count("\n") == 1
    assert path.read_text() == TEXT


def test_a_file_that_is_no_toml_is_not_changed(user: User) -> None:
    path = config(user, "idle_after = \n")
    result = call("config", "idle_after", "2m")
    assert result.code == 1
    assert "config.toml:1: found a TOML error" in result.err
    assert path.read_text() == "idle_after = \n"
    assert call("config").code == 1


def test_usage(user: User) -> None:
    assert call("config", "--unset").code == 2
    assert call("config", "idle_after", "2m", "--unset").code == 2


def test_a_running_daemon_reads_it(user: User, daemon: Daemon) -> None:
    daemon.start()
    assert call("config", "jobs_at_once", "2").out.endswith("; the daemon has read it\n")


def test_json(user: User) -> None:
    config(user, TEXT)
    listed = documented("cli-json-setup.md", "`config`") | {"schema_version", "verb"}
    assert set(keys(call("config", "--json").document, {})) <= listed
    one = call("config", "idle_after", "--json").document
    assert {f"settings[].{key}" for key in one} - {"settings[].schema_version", "settings[].verb"}
    assert one["value"] == "2m"


def test_a_folder_in_place_of_the_file(user: User) -> None:
    folder = user.config / "config.toml"
    folder.mkdir()
    for words in ((), ("keep_runs", "10d")):
        result = call("config", *words)
        assert (result.code, result.out) == (1, "")
        said = f"zdeferctl: cannot read: {folder}: Is a directory; see `zdeferctl check`\n"
        assert result.err == said


def test_a_fifo_in_place_of_the_file_holds_up_no_verb(user: User) -> None:
    os.mkfifo(user.config / "config.toml")
    result = call("config", "keep_runs", "10d")
    assert result.code == 1
    assert "config.toml: it is not a regular file; see `zdeferctl check`\n" in result.err
    assert "config.toml: found something that is not a regular file" in call("check").out
    assert "1 problem in settings and job files" in call("status").out
