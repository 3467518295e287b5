"""zf::log, zf::warn and zf::err: one line on stderr, and an ERROR line without the message."""

from pathlib import Path

import pytest
from support.zsh import BOTH, FEATURES, PLUGIN, run_zsh

from zdeferd.telemetry.lines import Error, parse

LOADED = pytest.mark.parametrize(
    "load", [(PLUGIN,), (FEATURES,), BOTH], ids=["plugin", "alone", "both"]
)


@LOADED
def test_a_message_is_one_line(home: Path, load: tuple[Path, ...]) -> None:
    code = (
        "zf::log one  'two  2' ; zf::warn 'a\nb' $'c\\ed\\0'; zf::err '100%\\n'; print $?\n"
        "zf::log; zf::warn -m x; zf::err -m; print $?; zf::err ''; zf::log -n x"
    )
    done = run_zsh(code, home, load=load)
    assert done.stdout == "0\n0\n"
    assert done.stderr == (
        "[zf][LOG] one two  2\n[zf][WARN] a b c d \n[zf][ERR] 100%\\n\n[zf][ERR] \n[zf][LOG] -n x\n"
    )


@LOADED
def test_the_log_has_level_and_module_alone(home: Path, load: tuple[Path, ...]) -> None:
    code = """
zf::log secret; zf::warn secret; zf::err -m my.module secret; zf::err -m '/a b/c' secret
feature_a-b_1_init() { inner }; inner() { zf::warn secret }
feature_a-b_1_init
feature_x_self_check() { zf::err -m own secret }; feature_x_self_check
feature_registry_self_check() { zf::warn secret }; feature_registry_self_check
zf::err -m "${(l:80::m:)}" secret
"""
    log = home / "seg.log"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log)}, load)
    assert done.stderr.count("secret\n") == 8
    assert log.read_text().splitlines() == [
        "ERROR level=WARN module=zsh",
        "ERROR level=ERROR module=my.module",
        "ERROR level=ERROR module=a_b_c",
        "ERROR level=WARN module=a-b_1",
        "ERROR level=ERROR module=own",
        "ERROR level=WARN module=zsh",
        f"ERROR level=ERROR module={'m' * 64}",
    ]
    assert all(isinstance(parse(line), Error) for line in log.read_text().splitlines())


def test_other_loggers_of_the_user_are_left_alone(home: Path) -> None:
    names = [f"zf::{name}" for name in ("debug", "info", "crit", "fatal")]
    before = "".join(f"{name}() {{ print mine }}\n" for name in names)
    done = run_zsh("; ".join([*names, "zdeferd_plugin_unload", *names]), home, before=before)
    assert (done.stdout, done.stderr) == ("mine\n" * 8, "")


def test_after_the_plugin_is_unloaded_nothing_of_the_layer_is_left(home: Path) -> None:
    env = {"PERF_SEGMENT_LOG": str(home / "seg.log"), "ZSH_FEATURE_TELEMETRY": "1"}
    used = "zf::segment::start a; zf::segment::wrap b -- :; zf::log x 2>/dev/null"
    left = "print -l -- ${(k)functions} ${(k)parameters[(I)_zdef*]}"
    code = f"{used}; zdeferd_plugin_unload; {left}"
    done = run_zsh(code, home, env)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_loading_prints_nothing_and_changes_no_option(home: Path) -> None:
    state = "print -rl -- ${(kv)options} $- $path $aliases"
    plain = run_zsh(state, home, load=()).stdout
    for load in ((FEATURES,), (FEATURES, FEATURES), BOTH, (FEATURES, PLUGIN, FEATURES)):
        done = run_zsh(state, home, load=load)
        assert (done.stdout, done.stderr) == (plain, "")
    done = run_zsh("zf::err works", home, load=(FEATURES, PLUGIN, FEATURES))
    assert done.stderr == "[zf][ERR] works\n"
