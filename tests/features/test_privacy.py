"""What shells write: every line on the allow-list, and none of what it must not hold."""

from pathlib import Path

from support.user import call
from support.zsh import FEATURES, run_zsh

from zdeferd.telemetry.allowed import deviations
from zdeferd.telemetry.lines import parse

SECRET = "hunter2"
CODE = f"""
export TOKEN={SECRET}
zf::segment::start plain {SECRET}; zf::segment::end plain {SECRET}
zf::segment::wrap wrapped -- print -u2 {SECRET}
zf::segment::wrap failing -- no-such-{SECRET}
zf::segment::source sourced $PWD/{SECRET}.zsh
zf::segment::source missing /home/{SECRET}
zf::with_timing timed print -u2 {SECRET}
zf::segment::anchor {SECRET}
zf::segment::anchor pre_plugin_start
zf::log {SECRET}; zf::warn {SECRET}; zf::err $PWD {SECRET}
feature_own_init() {{ zf::err {SECRET} }}; feature_own_init
feature_registry_add own; feature_own_init() {{ :; }}; feature_registry_invoke_phase init
"""


def test_nothing_private_is_in_what_shells_write(home: Path) -> None:
    folder = home / SECRET
    folder.mkdir()
    (home / f"{SECRET}.zsh").write_text(f"print -u2 {SECRET}\nreturn 3\n")
    log = folder / "seg.log"
    env = {
        "PERF_SEGMENT_LOG": str(log),
        "PERF_SAMPLE_CONTEXT": f"{SECRET} in a context",
        "ZSH_LOG_STRUCTURED": "1",
        "ZSH_FEATURE_TELEMETRY": "1",
        "ZF_WITH_TIMING_SEGMENTS": "1",
    }
    done = run_zsh(CODE, home, env, (FEATURES,), before="setopt extended_glob")
    assert SECRET in done.stderr
    lines = log.read_text().splitlines()
    assert len(lines) == 10
    assert all(parse(line) is not None for line in lines)
    objects = (folder / "seg.jsonl").read_bytes().splitlines()
    assert len(objects) == 8
    assert [deviations(one) for one in objects] == [[]] * 8
    assert SECRET not in log.read_text() + (folder / "seg.jsonl").read_text()
    assert call("telemetry", "check", str(folder / "seg.jsonl"), "--strict").code == 0


def test_a_line_that_leaks_is_found(home: Path) -> None:
    """The check itself can fail: an emitter that wrote its sample unchecked would be seen."""
    shell = 'print -r -- \'{"type":"segment","name":"x","ms":0,"phase":"core",'
    shell += f'"sample":"{SECRET} x","ts":1700000000000}}\' >leak.jsonl'
    run_zsh(shell, home, load=())
    result = call("telemetry", "check", str(home / "leak.jsonl"), "--strict")
    assert result.code == 3
    assert SECRET not in result.out + result.err
