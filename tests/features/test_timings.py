"""Timings of features: off without a trace; on, one key, one line and one object an init."""

import re
from pathlib import Path

import pytest
from support.zsh import FEATURES, run_zsh

INIT = """
init() {
  local begun=
  [[ -z ${ZSH_FEATURE_TELEMETRY-} ]] || { .zdeferd-timing && begun=${(%)_zdeferd_clock} }
  [[ -z $begun ]] || .zdeferd-timed $1 $begun
}
init a-b; init c; init a-b
print -r -- ${(kvo)ZSH_FEATURE_TIMINGS_SYNC//[0-9]##/N} ${+_zdeferd_timed}
"""
EXTENDED = "setopt extended_glob"


@pytest.mark.parametrize("word", ["", "0", "no", "off", "false", "nonsense", "disabled"])
def test_off_nothing_is_set_or_written(word: str, home: Path) -> None:
    env = {
        "ZSH_FEATURE_TELEMETRY": word,
        "PERF_SEGMENT_LOG": str(home / "seg.log"),
        "ZSH_LOG_STRUCTURED": "1",
    }
    done = run_zsh(INIT, home, env, (FEATURES,), before=EXTENDED)
    assert done.stderr == ""
    assert done.stdout.split()[:-1] == []
    assert [path.name for path in home.iterdir()] == ["script.zsh"]


@pytest.mark.parametrize("word", ["1", "true", "YES", "On", "enable", "enabled", "debug"])
def test_on_with_a_log_and_its_sidecar(word: str, home: Path) -> None:
    log = home / "seg.log"
    env = {
        "ZSH_FEATURE_TELEMETRY": word,
        "PERF_SEGMENT_LOG": str(log),
        "ZSH_LOG_STRUCTURED": "1",
    }
    done = run_zsh(INIT, home, env, (FEATURES,), before=EXTENDED)
    assert (done.stdout, done.stderr) == ("N N a-b c 1\n", "")
    found = re.sub(r"ms=\d+", "ms=0", log.read_text()).splitlines()
    assert found == [
        f"SEGMENT name=feature/{name} ms=0 phase=core sample=unknown" for name in ("a-b", "c")
    ]
    objects = [
        re.sub(r'"ms":\d+', '"ms":0', re.sub(r"\d{13}", "1700000000000", line))
        for line in (home / "seg.jsonl").read_text().splitlines()
        if "feature_timing" in line
    ]
    assert objects == [
        f'{{"type":"feature_timing","feature":"{name}","ms":0,"phase":"init",'
        f'"sequence":{number},"version":1,"ts_epoch_ms":1700000000000}}'
        for number, name in enumerate(("a-b", "c", "a-b"), 1)
    ]


def test_without_a_log_only_the_keys(home: Path) -> None:
    done = run_zsh(INIT, home, {"ZSH_FEATURE_TELEMETRY": "1"}, (FEATURES,), before=EXTENDED)
    assert (done.stdout, done.stderr) == ("N N a-b c 1\n", "")
    assert [path.name for path in home.iterdir()] == ["script.zsh"]
