"""`zdeferctl perf capture` with real shells, and configurations that show no prompt."""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from shell.peer import wait_until
from support.daemon import LIMIT_S
from support.perf import Evidence
from support.user import Result, User, call

from zdeferd.perf.starts.capture import Captured, Plan, document, environment
from zdeferd.perf.starts.terminal import Late

pytestmark = pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")

LAGS = {
    "command_lag_ms", "exit_time_ms", "first_command_lag_ms", "first_prompt_lag_ms", "input_lag_ms"
}  # fmt: skip
KEYS = "schema generated_at requested samples failed context metrics segments features"


def capture(evidence: Evidence, zshrc: str, *words: str) -> Result:
    dots = evidence.root / "dots"
    dots.mkdir(exist_ok=True)
    (dots / ".zshrc").write_text(zshrc)
    return evidence.perf("capture", "--zdotdir", str(dots), *words)


def children() -> set[int]:
    """Processes below this one, and those of sessions that it started."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def processes_with(marker: str) -> list[int]:
    """Processes whose command line has a word."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if marker in process.cmdline():
                found.append(process.pid)
    return found


def test_a_configuration_without_any_probe(evidence: Evidence) -> None:
    others = children()  # multiprocessing keeps one, where an earlier test has used it
    result = capture(evidence, "PROMPT='%~ bare> '\n", "-n", "2")
    assert result.code == 0
    assert re.search(r"first_prompt_lag_ms\s+\d+\.\d\d", result.out)
    (path,) = evidence.folder.glob("perf-capture-*.json")
    made = json.loads(path.read_text())
    assert " ".join(made) == KEYS
    assert set(made["metrics"]) == LAGS
    assert (made["requested"], made["samples"], made["failed"]) == (2, 2, 0)
    assert made["segments"] == made["features"] == []
    first = made["metrics"]["first_prompt_lag_ms"]
    assert " ".join(first) == "mean min max median p95 stddev rsd_pct values"
    assert all(0.5 < ms < 10_000 for ms in first["values"])
    assert children() == others


def test_a_slow_configuration_takes_as_long(evidence: Evidence) -> None:
    result = capture(evidence, "zmodload zsh/zselect; zselect -t 200\n", "-n", "1", "--json")
    metrics = result.document["metrics"]
    for name in ("first_prompt_lag_ms", "first_command_lag_ms", "exit_time_ms"):
        assert metrics[name]["median"] >= 2000
    assert metrics["command_lag_ms"]["median"] < metrics["first_prompt_lag_ms"]["median"]


PROBES = r"""
{
  print -r -- "SEGMENT name=pre_plugin_total ms=12 phase=pre_plugin sample=$PERF_SAMPLE_CONTEXT"
  print -r -- "SEGMENT name=feature/noop ms=3 phase=core sample=$PERF_SAMPLE_CONTEXT"
  print -r -- "SEGMENT name=feature/bad ms=4 phase=core sample=$PERF_SAMPLE_CONTEXT"
  print -r -- "ERROR level=ERROR module=bad"
  print -r -- "PROMPT_READY_COMPLETE 34"
} >>$PERF_SEGMENT_LOG
[[ $ZSH_LOG_STRUCTURED == 1 ]] && print '{"type":"segment"}' >>$PERF_SEGMENT_JSON_LOG
"""


def test_segments_and_features(evidence: Evidence) -> None:
    made = capture(evidence, PROBES, "-n", "2", "--json").document
    assert [one["label"] for one in made["segments"]] == [
        "feature/bad", "feature/noop", "pre_plugin_total", "prompt_ready"
    ]  # fmt: skip
    assert made["segments"][2] == {
        "label": "pre_plugin_total", "phase": "pre_plugin", "samples": 2, "mean_ms": 12,
        "min_ms": 12, "max_ms": 12, "values": [12, 12],
    }  # fmt: skip
    assert made["metrics"]["prompt_ready_ms"]["values"] == [34, 34]
    statuses = {one["name"]: one["status"] for one in made["features"]}
    assert statuses == {"bad": "error", "noop": "ok"}
    assert (evidence.folder / "perf-sidecar.jsonl").read_text() == '{"type":"segment"}\n'
    raw = evidence.perf("features", "--raw").out
    assert "timing.noop=3.00\n" in raw


def test_a_capture_on_standard_output(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evidence.root)
    result = capture(evidence, "", "-n", "1", "--output", "-", "--quiet")
    assert " ".join(result.document) == KEYS
    assert not (evidence.root / "-").exists()


@pytest.mark.parametrize("name", ["TMUX", "STY", "ZELLIJ"])
def test_no_multiplexer_is_executed(evidence: Evidence, name: str) -> None:
    zshrc = f"[[ -n ${name} ]] || {{ : >>~/executed; exec sleep 600 }}\nPROMPT='ready> '\n"
    assert capture(evidence, zshrc, "-n", "1", "--timeout", "1m").code == 0
    assert not (evidence.root / "executed").exists()


def test_no_segments(evidence: Evidence) -> None:
    made = capture(evidence, PROBES, "-n", "1", "--no-segments", "--json").document
    assert made["metrics"]["pre_plugin_total_ms"]["values"] == [12]
    assert not (evidence.folder / "perf-sidecar.jsonl").exists()


def test_the_environment_of_a_sample() -> None:
    own = environment({"TERM": "dumb", "PERF_SEGMENT_JSON_LOG": "/x"}, "", "/log", True)
    assert own == {
        "PERF_SAMPLE_CONTEXT": "cold", "PERF_SEGMENT_LOG": "/log", "TERM": "xterm-256color",
        "PERF_SEGMENT_JSON_LOG": "/log.jsonl", "ZSH_LOG_STRUCTURED": "1",
        "ZSH_FEATURE_TELEMETRY": "1", "ZDEFERD_AUTOSTART": "0",
        "TMUX": "/dev/null,0,0", "STY": "zdeferctl", "ZELLIJ": "0", "PWD": os.getcwd(),
    }  # fmt: skip
    assert environment({"TMUX": "/tmp/t,1,0"}, "", "/l", True)["TMUX"] == "/tmp/t,1,0"
    assert "PERF_SEGMENT_JSON_LOG" not in environment(
        {"PERF_SEGMENT_JSON_LOG": "/x"}, "", "/l", False
    )


def test_a_shell_is_given_the_name_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a terminal: a link's name stays, a name that is no longer right does not."""
    folder, link = tmp_path.resolve() / "folder", tmp_path.resolve() / "link"
    folder.mkdir()
    link.symlink_to(folder)
    monkeypatch.chdir(folder)
    gone = str(tmp_path / "gone")
    for given in ("", "/", gone, ".", f"{link}/", f"{folder}/../folder"):
        assert environment({"PWD": given}, "", "/log", False)["PWD"] == str(folder), given
    for given in (str(folder), str(link)):
        assert environment({"PWD": given}, "", "/log", False)["PWD"] == given


def test_a_folder_that_is_gone_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "PWD" not in environment({}, "", "/log", False)


def test_a_dry_run_starts_nothing(evidence: Evidence) -> None:
    result = capture(evidence, "touch ~/started\n", "--dry-run")
    assert "would start 5 cold starts of" in result.out
    assert "PERF_SAMPLE_CONTEXT=cold" in result.out
    assert not evidence.folder.exists()
    assert not (evidence.root / "started").exists()


def test_output_goes_to_a_file_too(evidence: Evidence) -> None:
    out = evidence.root / "mine.json"
    result = capture(evidence, "", "-n", "1", "--quiet", "--output", str(out))
    assert result.out == ""
    (kept,) = evidence.folder.glob("perf-capture-*.json")
    assert kept.read_text() == out.read_text()


@pytest.mark.parametrize("option", ["", "share_history", "inc_append_history", "hist_fcntl_lock"])
def test_history_gets_no_line(evidence: Evidence, option: str) -> None:
    history = evidence.root / "history"
    history.write_text("mine\n")
    zshrc = f"HISTFILE={history} HISTSIZE=99 SAVEHIST=99; setopt extended_glob {option}\n"
    made = capture(evidence, zshrc, "-n", "1", "--json").document
    assert made["metrics"]["first_command_lag_ms"]["values"]
    assert history.read_text() == "mine\n"


# --- configurations that are hard to measure -----------------------------------


@pytest.mark.parametrize(
    "zshrc",
    [
        "PROMPT='$RANDOM> '; setopt prompt_subst\n",
        "unset zle_bracketed_paste; PROMPT='plain> '\n",
        "PROMPT=$'one\\ntwo %# '\n",
        "zle_highlight=(paste:none); PROMPT=''\n",
        "print some words; print more; RPROMPT=right\n",
    ],
)
def test_prompts_of_all_kinds(evidence: Evidence, zshrc: str) -> None:
    made = capture(evidence, zshrc, "-n", "1", "--json").document
    assert made["samples"] == 1
    assert "command_lag_ms" in made["metrics"]


def test_an_instant_prompt_counts_when_it_is_seen(evidence: Evidence) -> None:
    zshrc = (
        "PROMPT='the prompt> '; print -n -- 'the prompt> '\n"
        "zmodload zsh/zselect; zselect -t 200; print -n $'\\r'\n"
    )
    metrics = capture(evidence, zshrc, "-n", "1", "--json").document["metrics"]
    lag = metrics["first_prompt_lag_ms"]["median"]
    assert lag < metrics["first_command_lag_ms"]["median"] - 500


BAD = {
    "no prompt": "while :; do zmodload zsh/zselect; zselect -t 100; done\n",
    "exits": "exit 3\n",
    "asks": "read -q '?Update? [y/N] '\n",
    "prints for ever": "while :; do print -r -- ${(l:200::x:)}; done\n",
    "execs": "exec sleep 97531\n",
    "ignores all": "trap '' HUP TERM INT; while :; do sleep 97531; done\n",
}


@pytest.mark.parametrize("zshrc", BAD.values(), ids=BAD)
def test_no_prompt_is_no_sample(
    evidence: Evidence, zshrc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = evidence.root / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before, others = set(os.listdir("/dev/fd")), children()
    result = capture(evidence, zshrc, "-n", "1", "--retries", "0", "--timeout", "1s")
    assert result.code == 1
    assert "no authentic sample of 1: " in result.err
    ended = zshrc == BAD["exits"]
    assert result.err.endswith("see why\n" if ended else "--timeout allows it more\n")
    assert children() == others
    assert processes_with("97531") == []
    assert not evidence.folder.exists()
    assert set(os.listdir("/dev/fd")) == before
    assert list(scratch.iterdir()) == []


def test_a_start_that_fails_is_tried_again_or_counted(evidence: Evidence) -> None:
    count = evidence.root / "count"
    zshrc = f"print x >>{count}; [[ $(<{count}) == x ]] && exit\n"
    made = capture(evidence, zshrc, "-n", "1", "--retries", "1", "--json").document
    assert (made["samples"], made["failed"]) == (1, 0)
    count.unlink()
    result = capture(evidence, zshrc, "-n", "2", "--retries", "0", "--timeout", "1m")
    assert "1 of 2 starts gave no sample" in result.out


@pytest.mark.parametrize(
    "start",
    [
        "( trap '' HUP; exec sleep 97532 ) &!",
        pytest.param(
            "( setsid sh -c 'setsid sleep 97532 & sleep 97532' >/dev/null 2>&1 & )",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="no subreapers"),
        ),
    ],
    ids=["background", "daemon"],
)
def test_what_a_configuration_leaves_running_is_ended(evidence: Evidence, start: str) -> None:
    capture(evidence, f"{start}\n", "-n", "1")
    assert processes_with("97532") == []


# --- classify ------------------------------------------------------------------


def classify(evidence: Evidence, *words: str) -> Result:
    dots = str(evidence.root / "dots")
    return evidence.perf("classify", "--runs", "2", "--zdotdir", dots, *words)


def test_classify_captures_first(evidence: Evidence) -> None:
    capture(evidence, "", "--dry-run")
    first = classify(evidence)
    assert first.code == 0
    assert re.findall(r"metric=(\w+)", first.out) == ["first_prompt_lag_ms", "command_lag_ms"]
    assert "runs=2 " in first.out
    assert len(list(evidence.folder.glob("perf-capture-*.json"))) == 1
    assert evidence.perf("status").code == 0


def test_explore_keeps_no_capture(evidence: Evidence) -> None:
    capture(evidence, "", "--dry-run")
    assert classify(evidence, "--goal", "explore").code == 0
    assert not evidence.folder.exists()


def test_classify_of_no_sample(evidence: Evidence) -> None:
    capture(evidence, "exit\n", "--dry-run")
    dots = evidence.root / "dots"
    (dots / ".zshrc").write_text("exit\n")
    result = classify(evidence, "--json", "--retries", "0")
    assert result.code == 1
    assert result.document["error"] == "no_successful_captures"
    assert "no authentic sample" in result.err


# --- usage ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("-n", "0"), ("-n", "x"), ("--timeout", "0"), ("--timeout", "soon"), ("--timeout", "2h"),
     ("--zdotdir", "/nowhere/at-all"), ("surplus",)],
)  # fmt: skip
def test_usage(evidence: Evidence, words: tuple[str, ...]) -> None:
    assert evidence.perf("capture", *words).code == 1


@pytest.mark.parametrize("verb", [("capture",), ("compare", "a", "b"), ("blame",), ("classify",)])
def test_a_time_limit_of_nothing(evidence: Evidence, verb: tuple[str, ...]) -> None:
    result = call("perf", *verb, "--timeout", "0s")
    assert result.code == 1
    assert "--timeout: not a duration above 0 and up to 1h: 0s" in result.err


def test_without_zsh(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(user.root))
    result = call("perf", "capture", "-n", "1")
    assert result.code == 1
    assert "zsh is not on PATH" in result.err


def test_a_metric_of_some_samples_is_not_made_up() -> None:
    lags = [{"first_prompt_lag": 5.5, "command_lag": 1.0}, {"first_prompt_lag": 6.0}]
    made: dict[str, Any] = document(
        Captured(lags, [{}, {}], set(), [Late("late")], ""), Plan(3), "now"
    )
    assert made["metrics"]["command_lag_ms"]["values"] == [1.0]
    assert (made["requested"], made["samples"], made["failed"]) == (3, 2, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["capture", "classify", "compare", "blame"])
def test_an_end_in_the_middle_leaves_nothing_behind(
    verb: str, number: signal.Signals, user: User
) -> None:
    begun, marker = user.root / "begun", f"{time.monotonic_ns()}"
    (user.root / ".zshrc").write_text(
        f"setsid sleep {marker} &!\nprint >{begun}\nsleep 500\n"
        if shutil.which("setsid")
        else f"print >{begun}\nsleep {marker}\n"
    )
    user.env["TMPDIR"] = str(user.root)
    words = ["compare", str(user.root), str(user.root)] if verb == "compare" else [verb]
    with user.begin("perf", *words, "--timeout", "100s") as running:
        wait_until(lambda: begun.exists() and processes_with(marker) != [], "a start has begun")
        running.send_signal(number)
        assert running.communicate(timeout=LIMIT_S) == ("", "")
        assert running.returncode == 130
    wait_until(lambda: processes_with(marker) == [], "its process has ended")
    assert list(user.root.glob("zdeferd-perf*")) == []
