"""Timings of features: off without a trace; on, one key, one line and one object an init."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from support.pty import ZSH
from support.zsh import FEATURES, run_zsh

INIT = """
for name in a-b c; do feature_registry_add $name; functions[feature_${name}_init]=:; done
feature_registry_invoke_phase init
unfunction feature_c_init
feature_registry_invoke_phase init
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


def test_the_log_is_opened_once_and_each_line_is_one_write(home: Path) -> None:
    log, trace = home / "seg.log", home / "trace"
    code = "".join(f"feature_registry_add f{n}; feature_f{n}_init() {{ :; }}\n" for n in range(5))
    script = home / "features.zsh"
    script.write_text(f"source {FEATURES}\n{code}feature_registry_invoke_phase init\n")
    env = {"PATH": os.environ["PATH"], "ZSH_FEATURE_TELEMETRY": "1", "PERF_SEGMENT_LOG": str(log)}
    strace = ("strace", "-e", "trace=openat,write", "-o", str(trace), ZSH, "-f", str(script))
    subprocess.run(strace, env=env, check=True, timeout=200)
    calls = trace.read_text()
    assert calls.count(f'"{log}"') == 1
    assert calls.count("SEGMENT name=feature/") == log.read_text().count("\n") == 5
