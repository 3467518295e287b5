"""zsh-features: status in its forms, load, new, catalog, check, off."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from features.conftest import Start
from support.zsh import FEATURES, SHELL, run_zsh

TWO = """feature_registry_add one 1 '' yes prompt 'Says "one"' g-1
feature_registry_add two-b 2 'one,none' no '' '' ''
ZSH_FEATURE_TWO_B_ENABLED=no
"""


def run(code: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code in a zsh that has the feature layer alone."""
    return run_zsh(code, home, env, load=(FEATURES,))


def status(options: str, home: Path, before: str = TWO) -> tuple[str, str, int]:
    """What `zsh-features status` prints, on stdout and stderr, and its exit code."""
    done = run(f"{before}zsh-features status {options}", home)
    return done.stdout, done.stderr, done.returncode


def test_status_is_a_table(home: Path) -> None:
    lines = [
        "FEATURE PHASE ENABLED DEFER CATEGORY      DEPENDS              DESC",
        "-" * 67,
        'one     1     yes     yes   prompt        .                    Says "one"',
        "two-b   2     no      no    misc          one none             .",
    ]
    for options in ("", "--table", "--no-self-check"):
        assert status(options, home) == ("\n".join(lines) + "\n", "", 0)
    guids = ["one guid=g-1", "two-b guid=."]
    for options in ("-v", "--verbose --table"):
        assert status(options, home)[0].splitlines() == lines + guids


def test_status_raw(home: Path) -> None:
    expected = 'one|1|yes|yes|prompt||g-1|Says "one"\ntwo-b|2|no|no|misc|one none||\n'
    assert status("--raw", home) == (expected, "", 0)


def test_status_json(home: Path) -> None:
    stdout, stderr, rc = status("--json", home)
    assert (stderr, rc) == ("", 0)
    keys = ["name", "phase", "enabled", "deferred", "category", "depends", "guid", "description"]
    one = ["one", 1, "yes", "yes", "prompt", [], "g-1", 'Says "one"']
    two = ["two-b", 2, "no", "no", "misc", ["one", "none"], "", ""]
    assert json.loads(stdout) == [dict(zip(keys, row, strict=True)) for row in (one, two)]


@pytest.mark.parametrize("value", ['a"b\\c', "ü€", "\\", "\\n", "$(x) `y` %s", "[a]*"])
def test_json_holds_odd_text(value: str, home: Path) -> None:
    quoted = value.replace("'", "'\\''")
    before = f"feature_registry_add a 007 '' no '{quoted}' '{quoted}' '{quoted}'\n"
    (row,) = json.loads(status("--json", home, before)[0])
    assert (row["category"], row["description"], row["guid"]) == (value, value, value)
    assert row["phase"] == 7


def test_json_is_utf8_whatever_the_text_is(home: Path) -> None:
    odd = b"\\xff\\xc3\\xa4\\xed\\xa0\\x80\\xe2\\x82\\xac\\xc3".decode()
    before = f"feature_registry_add a 1 '' no misc $'{odd}' $'\\xfe'\n"
    (row,) = json.loads(status("--json", home, before)[0])
    assert (row["description"], row["guid"]) == ("\ufffdä\ufffd\ufffd\ufffd€\ufffd", "\ufffd")


def test_status_without_features(home: Path) -> None:
    assert status("--json", home, "") == ("[]\n", "", 0)
    assert status("--raw", home, "") == ("", "", 0)
    assert len(status("", home, "")[0].splitlines()) == 2


def test_summary(home: Path) -> None:
    line = "Features: total=2 enabled=1 disabled=1 deferred=1\n"
    assert status("--summary", home) == (line, "", 0)
    assert status("--raw --summary", home)[0].splitlines()[-1] == line.strip()
    assert status("--summary --table", home)[0].endswith(line)
    stdout, stderr, rc = status("--json --summary", home)
    assert (len(json.loads(stdout)), stderr, rc) == (2, line, 0)


@pytest.mark.parametrize("form", ["", "--table", "--raw", "--json", "--summary"])
def test_a_failed_self_check_is_exit_3_after_the_output(form: str, home: Path) -> None:
    before = "feature_registry_add one soon\n"
    good, nothing, rc = status(f"{form} --no-self-check", home, before)
    assert (nothing, rc) == ("", 0)
    stdout, stderr, rc = status(form, home, before)
    assert (stdout, stderr.count("\n"), rc) == (good, 1, 3)
    assert stderr.startswith("[zf][ERR] feature one: ")


@pytest.mark.parametrize(
    "words",
    ["", "x", "--raw", "status x", "status --rwa", "catalog -v", "off", "off -x", "load -x"],
)
def test_what_cannot_be_understood_is_exit_2(words: str, home: Path) -> None:
    done = run(f"zsh-features {words}", home)
    assert (done.stdout, done.returncode) == ("", 2)
    assert re.fullmatch(r"\[zf\]\[ERR\] zsh-features: .*\n", done.stderr)


@pytest.mark.parametrize(
    "words", ["-h", "--help", *(f"{verb} --help" for verb in ("status", "load", "new", "catalog"))]
)
def test_help(words: str, home: Path) -> None:
    done = run(f"zsh-features {words}", home)
    assert (done.returncode, done.stderr) == (0, "")
    for verb in ("status", "load", "new", "catalog", "check", "off"):
        assert f"zsh-features {verb}" in done.stdout


def test_without_its_files_the_registry_cannot_be_loaded(home: Path) -> None:
    code = f"cp -R {SHELL} copy; rm copy/features/registry.zsh; source copy/features.zsh\n"
    code += "zsh-features status; print $?"
    assert run_zsh(code, home, load=()).stdout == "1\n"


def test_catalog_is_markdown(home: Path) -> None:
    assert run(TWO + "zsh-features catalog", home).stdout.splitlines() == [
        "| Feature | Phase | Category | Enabled | Deferred | Depends | GUID | Description |",
        "|---|---|---|---|---|---|---|---|",
        '| one | 1 | prompt | yes | yes |  | g-1 | Says "one" |',
        "| two-b | 2 | misc | no | no | one none |  |  |",
    ]


def test_load_reads_files_by_name_and_runs_the_phases(home: Path) -> None:
    folder = home / "features"
    folder.mkdir()
    for name in ("b", "a", "_template"):
        (folder / f"{name}.zsh").write_text(
            f"FEATURE_NAME={name}\nprint -r -- read {name} $FEATURE_PLACE $1\n"
            f"feature_registry_add {name}\nFEATURE_PLACE=here\n"
            + "".join(f"feature_{name}_{p}() {{ print {p} {name} }}\n" for p in ("preload", "init"))
        )
    (folder / "c.zsh").write_text("exit 3\nprint no\n")
    (folder / "d.zsh").write_text("if\n")
    (folder / "e.txt").write_text("print no\n")
    done = run("zsh-features load; print $? $FEATURE_NAME", home, ZDOTDIR=str(home))
    expected = ["read a", "read b", "preload a", "preload b", "init a", "init b", "0"]
    assert done.stdout.splitlines() == expected
    said = [line for line in done.stderr.splitlines() if line.startswith("[zf]")]
    assert [re.sub(r"rc=(126|1)\b", "rc=N", line) for line in said] == [
        f"[zf][ERR] zsh-features: load: rc=3: {folder}/c.zsh",
        f"[zf][ERR] zsh-features: load: rc=N: {folder}/d.zsh",
    ]


def test_load_takes_files_and_says_what_is_not_there(home: Path) -> None:
    (home / "x.zsh").write_text("feature_registry_add x\nfeature_x_init() { print init }\n")
    done = run("zsh-features load x.zsh; print $?; zsh-features load none x.zsh", home)
    assert (done.stdout, done.returncode) == ("init\n0\ninit\n", 1)
    assert done.stderr.count("\n") == 1
    done = run("zsh-features load", home, ZSH_FEATURES_DIR=str(home / "nowhere"))
    assert done.returncode == 1
    assert str(home / "nowhere") in done.stderr


def test_new_writes_a_feature_that_passes_the_check(home: Path) -> None:
    code = "zsh-features new my-own_2 f/g && zsh-features check f/g/my-own_2.zsh && "
    code += "zsh-features load f/g && zsh-features status --raw"
    done = run(code, home)
    assert (done.stderr, done.returncode) == ("", 0)
    path, ok, row = done.stdout.splitlines()
    assert (path, ok) == ("f/g/my-own_2.zsh", "f/g/my-own_2.zsh: ok")
    assert re.fullmatch(r"my-own_2\|2\|yes\|no\|misc\|\|[0-9a-f-]{36}\|my-own_2", row)
    off = run("zsh-features load f/g; feature_registry_is_enabled my-own_2", home,
              ZSH_FEATURE_MY_OWN_2_ENABLED="no")  # fmt: skip
    assert off.returncode == 1


def test_new_never_overwrites(home: Path) -> None:
    (home / "a.zsh").write_text("mine")
    (home / "b.zsh").symlink_to(home / "nowhere")
    for name, word in (
        ("a", "a.zsh"),
        ("b", "b.zsh"),
        ("'A b'", "bad name"),
        ("c", "cannot write"),
    ):
        folder = "a.zsh" if name == "c" else "."
        done = run(f"zsh-features new {name} {folder}", home)
        assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", 1, 1)
        assert word in done.stderr
    assert (home / "a.zsh").read_text() == "mine"
    assert not (home / "nowhere").exists()


@pytest.mark.parametrize(("verb", "word"), [("new", "NAME"), ("off", "NAME"), ("check", "FILE")])
def test_a_missing_word_is_named(verb: str, word: str, home: Path) -> None:
    done = run(f"zsh-features {verb}", home)
    assert (done.stdout, done.returncode) == ("", 2)
    assert f"zsh-features: missing {word}: {verb}; zsh-features --help" in done.stderr


def test_check_names_what_is_wrong(home: Path) -> None:
    (home / "bad.zsh").write_text(
        "FEATURE_NAME=bad\nFEATURE_PHASE=9\nfeature_bad_metadata() { print name=y }\n"
        "feature_bad_register() { feature_registry_add other 2 }\nprint hello\n"
    )
    (home / "syntax.zsh").write_text("if\n")
    (home / "ends.zsh").write_text("FEATURE_NAME=e\nFEATURE_VERSION=1.0.0\nexit 3\n")
    done = run("zsh-features check bad.zsh syntax.zsh ends.zsh none.zsh", home)
    assert (done.stderr, done.returncode) == ("", 1)
    for finding in (
        "bad.zsh: FEATURE_VERSION is missing",
        "bad.zsh: FEATURE_PHASE is 9",
        "bad.zsh: function is missing: feature_bad_init",
        "bad.zsh: prints when it is read: hello",
        "bad.zsh: feature_bad_metadata: name=y",
        "bad.zsh: feature_bad_metadata prints: name; it must print: name version phase depends "
        "default_enabled deferred description category since_stage guid",
        "bad.zsh: feature_bad_register without feature_registry_add: rc=127",
        "bad.zsh: feature_bad_register: rc=0 other|phase=2",
        "syntax.zsh: syntax: ",
        "ends.zsh: ends the shell",
        "none.zsh: cannot be read",
    ):
        assert f"\n{finding}" in f"\n{done.stdout}"


def test_off_undoes_a_feature_for_the_session(home: Path) -> None:
    code = """feature_registry_add a; feature_registry_add b 2 a
for n in a b; do functions[feature_${n}_init]="print init $n"; done
feature_a_teardown() { print teardown }
feature_registry_invoke_phase init
zsh-features off a; print $?
feature_registry_add a; feature_registry_is_enabled a; print $? $ZSH_FEATURE_STATUS[a]
feature_registry_invoke_phase init 2>/dev/null; zsh-features off none; print $?
feature_b_teardown() { return 5 }; zsh-features off b; print $?"""
    done = run(code, home)
    expected = ["init a", "init b", "teardown", "0", "1 skipped", "init b", "1", "1"]
    assert done.stdout.splitlines() == expected
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" off", " teardown"]


def test_nothing_but_check_forks(home: Path) -> None:
    """A process of its own would have another id: `zsh-features` has the shell's alone."""
    trace = home / "trace"
    code = TWO + "feature_one_init() { : }; zsh-features new x d; zsh-features load d\n"
    code += "zsh-features status; zsh-features status --json; zsh-features catalog\n"
    code += "zsh-features off x; feature_registry_resolve_order; feature_registry_self_check"
    (home / "script.zsh").write_text(f"source {FEATURES}\n{code}\n")
    subprocess.run(
        ["strace", "-f", "-e", "trace=process", "-o", trace, "zsh", "-f", home / "script.zsh"],
        cwd=home,
        capture_output=True,
        check=True,
        timeout=200,
    )
    assert re.findall(r"\b(?:v?fork|clone3?)\(", trace.read_text()) == []


def test_completion_offers_the_commands_and_features(start: Start) -> None:
    shell = start("autoload -Uz compinit; compinit -D -u\n" + TWO)
    shell.prompt()
    shell.type("zsh-features off tw\t")
    shell.expect("off two-b ")
    shell.type("\x15zsh-features cat\t")
    shell.expect("zsh-features catalog ")


def test_after_the_plugin_is_unloaded_nothing_of_the_registry_is_left(home: Path) -> None:
    before = "typeset -m '*' | sed 's/=.*//' | sort >one; print -rl ${(ok)functions} >>one\n"
    after = (
        TWO
        + """unset ZSH_FEATURE_TWO_B_ENABLED
feature_registry_invoke_phase init; zsh-features status >status
zdeferd_plugin_unload; unset -m 'ZSH_FEATURE_*'
typeset -m '*' | sed 's/=.*//' | sort >two; print -rl ${(ok)functions} >>two"""
    )
    run_zsh(after, home, load=(FEATURES,), before=before)
    assert (
        set((home / "two").read_text().split()) - set((home / "one").read_text().split()) == set()
    )
