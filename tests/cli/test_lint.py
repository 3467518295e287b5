"""`zdeferctl lint zsh`: three rules, comments never count, exit codes 0, 1 and 2."""

from pathlib import Path

import pytest
from support.user import User, call

from zdeferd.features.lint import findings
from zdeferd.machine.files import MOST_CHARACTERS

ROOT = Path(__file__).parents[2]
BAD = [
    ("_zf_log hi", "legacy-wrapper"),
    ("x && zf_err hi", "legacy-wrapper"),
    ("typeset -f zf_fatal", "legacy-wrapper"),
    ('eval "zf_warn x"', "legacy-wrapper"),
    ("(( $+ZF_LOG_LEGACY_USED ))", "legacy-sentinel"),
    ("ZF_LOG_LEGACY_USED=1", "legacy-sentinel"),
    ("print -r -- '[zf] hi'", "raw-log"),
    ('echo "[Warn] x" >&2', "raw-log"),
    ("builtin printf '[ERROR] %s\\n' x", "raw-log"),
    ("print -u2 one \\\n  '[debug]'", "raw-log"),
    ("x=1; print [INFO]", "raw-log"),
    ("\\print [INFO]", "raw-log"),
    ("f() { echo '[LOG] a; b' }", "raw-log"),
    ("[[ ${ZSH_DEBUG:-0} == 1 ]] && :\nprint '[DEBUG]'", "raw-log"),
    ("print ${x#'a'} '[LOG]'", "raw-log"),
]
GOOD = [
    "# zf_err hi\n: # print '[LOG]'",
    "zf::err hi; my_zf_err; zf_errors; zf_err-x; a.zf_log",
    "print -u2 'a message without a tag'",
    "print $map[error] ${options[debug]} ${${x[log]}:-y}",
    "print x; : '[LOG]'",
    ": \"\\print '[LOG]'\"",
    "print x | grep '[LOG]'",
    "sprint '[LOG]'; printer '[LOG]'",
    "[[ ${ZSH_DEBUG:-0} == 1 ]] && print '[DEBUG] x'",
    '[[ "${ZSH_DEBUG:-0}" == 1 ]] && print "[DEBUG] x"',
    "zf::err() {\n  [[ -n ${x:-{} ]] || { : }\n  print -u2 '[zf][ERR]'\n}",
    "cat <<END\nprint '[LOG]'\nEND",
    "print 'print' $#x ; : [LOG]",
]


@pytest.mark.parametrize(("code", "rule"), BAD)
def test_a_rule_finds(code: str, rule: str) -> None:
    assert [one.rule for one in findings(code)] == [rule]
    assert findings(code, ["raw-log" if rule != "raw-log" else "legacy-wrapper"]) == []


@pytest.mark.parametrize("code", GOOD)
def test_nothing_is_found(code: str) -> None:
    assert findings(code) == []


def test_a_finding_behind_a_helper_and_its_line() -> None:
    code = "zf::log() {\n  print '[LOG]'\n}\n\nprint '[LOG]'\n"
    assert [(one.line, one.rule) for one in findings(code)] == [(5, "raw-log")]


def test_our_own_tree_is_clean() -> None:
    result = call("lint", "zsh", str(ROOT / "shell"), str(ROOT / "zdeferd.plugin.zsh"))
    assert (result.code, result.out) == (0, "")


def test_files_of_a_folder(user: User) -> None:
    top = user.root / "conf"
    named = {
        "b.zsh": "",
        "a/plain": "#!/usr/bin/env zsh\n",
        "a/_c": "#compdef x\n",
        ".zshrc": "",
        "functions/f": "",
        "a/notes": "",
        "x.txt": "",
        "tests/t.zsh": "",
        "x.sh": "",
        "backups/b.zsh": "",
        "deep/.ARCHIVE/z.zsh": "",
        "script": "#!/bin/sh\n",
    }
    for name, head in named.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(head + "zf_err x\n")
    result = call("lint", "zsh", str(top))
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines == sorted(lines)
    places = [line.removeprefix(f"{top}/").split(": ")[:2] for line in lines]
    assert places == [
        [".zshrc:1", "legacy-wrapper"],
        ["a/_c:2", "legacy-wrapper"],
        ["a/plain:2", "legacy-wrapper"],
        ["b.zsh:1", "legacy-wrapper"],
        ["functions/f:1", "legacy-wrapper"],
    ]
    assert call("lint", "zsh", str(top), "--warn").code == 0
    assert call("lint", "zsh", str(top), "--rule", "raw-log") == (0, "", "")


def test_what_cannot_be_looked_at(user: User) -> None:
    (user.root / "empty").mkdir()
    (user.root / "one.zsh").touch()
    result = call("lint", "zsh", str(user.root / "empty"))
    assert result.code == 1
    assert "no zsh file" in result.err
    result = call("lint", "zsh", str(user.root / "none"))
    assert result.code == 2
    assert "no such path" in result.err
    result = call(
        "lint", "zsh", "/proc/self/mem", str(user.root / "one.zsh")
    )  # root reads all else
    assert result.code == 2
    assert "cannot read: /proc/self/mem: Input/output error" in result.err
    result = call("lint", "zsh", "/dev/zero")
    assert result.code == 2
    assert "cannot read: /dev/zero: not a regular file" in result.err
    with (user.root / "endless.zsh").open("wb") as file:
        file.truncate(MOST_CHARACTERS + 1)
    result = call("lint", "zsh", str(user.root / "endless.zsh"))
    assert result.code == 2
    assert "more than 8 MiB" in result.err
    (user.root / "endless.zsh").unlink()
    for words in (
        ["lint"],
        ["lint", "zsh"],
        ["lint", "bash", "."],
        ["lint", "zsh", ".", "--rule", "x"],
    ):
        assert call(*words).code == 2
