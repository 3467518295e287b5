"""`zdeferctl demo`, for real: once to its end, once ended by Ctrl-C in the middle."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from support.daemon import LIMIT_S

from zdeferd.cli import demo
from zdeferd.view.render import PLAIN

ROOT = Path(__file__).parent.parent.parent
PATIENT = f"""import sys
from zdeferd.cli import demo, main
from zdeferd.cli.demo import stage, start
demo.LIMIT_S = start.LIMIT_S = stage.START_LIMIT_S = {LIMIT_S}
sys.exit(main(["demo", *sys.argv[1:]]))
"""
DEMO = [sys.executable, "-c", PATIENT]
"""The demonstration with the time that its jobs need where other programs want the processors."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the document of `demo --json`, with quick stand-ins for the tools of its jobs."""
    folder = furnish(tmp_path_factory.mktemp("tools"), *NEEDED, "git")
    program(folder / "gh", "echo '#compdef gh'")
    env = os.environ | {"PATH": str(folder)}
    done = subprocess.run([*DEMO, "--json"], env=env, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == b""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_each_job_ran_once_for_its_scope(found: dict[str, Any]) -> None:
    assert found["exactly_once"] is True
    runs = {job["job"]: (job["runs"], job["log_lines"]) for job in found["jobs"]}
    assert runs.pop("demo-count") == (5, 5)
    assert set(runs.values()) == {(1, 1)}
    assert len(runs) == 6
    assert {outcome for job in found["jobs"] for outcome in job["outcomes"]} == {"succeeded"}


def test_it_waits_for_the_lines_of_all_runs(tmp_path: Path) -> None:
    """On a busy machine the idle batch ends before the last of the other runs has its line."""
    log = tmp_path / "log"
    stage: Any = SimpleNamespace(paths=SimpleNamespace(shared_log=str(log)))
    assert not demo._logged(stage, 2)
    log.write_text("DEFERRED id=a ms=1 rc=0\nIDLE:SUMMARY tasks=1 ok=1 err=0 elapsed=1\n")
    assert not demo._logged(stage, 2)
    with log.open("a") as file:
        file.write("DEFERRED id=b ms=1 rc=0\n")
    assert demo._logged(stage, 2)


def test_five_prompts_came_up(found: dict[str, Any]) -> None:
    assert len(found["prompts_ms"]) == 5
    assert all(ms > 0 for ms in found["prompts_ms"])


def test_the_second_act_compares_five_first_prompts_with_five(found: dict[str, Any]) -> None:
    """How much sooner they come is a figure of the bench family `demo`: it varies with the load."""
    act = found["second_act"]
    before, after = act["before_ms"], act["after_ms"]
    assert len(before) == len(after) == 5
    assert min(*before, *after) > 0
    assert act["ratio"] == pytest.approx(median(after) / median(before), rel=0.05, abs=0.002)


def test_it_fits_into_80_columns(found: dict[str, Any]) -> None:
    assert [line for line in demo.text(found, PLAIN).splitlines() if len(line) > 80] == []


def test_it_leaves_nothing_behind(found: dict[str, Any]) -> None:
    assert not os.path.exists(found["home"])
    assert processes_of(found["home"]) == []


def test_the_readme_and_the_first_page_show_what_it_prints(found: dict[str, Any]) -> None:
    page, readme = [(ROOT / name).read_text() for name in ("docs/index.md", "README.md")]
    shown = re.search(r"`make demo` prints this.\n\n```\n(.*?)\n```", page, re.S)
    assert shown
    assert shape(shown[1]) == shape(demo.text(found, PLAIN))
    act, _, rest = shown[1].partition("\n\nThe shared log:")
    second = rest[rest.index("Second act") : rest.rindex("\n\n")]
    assert f"{act}\n\n{second}\n```" in readme


def shape(text: str) -> list[str]:
    """The lines, sorted, with amounts and alignment taken out."""
    amounts = re.sub(r"\d+ min( \d+ s)?|\d+(\.\d+)?( (ms|s|MiB|KiB))?", "N", text)
    return sorted(" ".join(line.split()) for line in amounts.splitlines())


NEEDED = ("cat", "cmp", "cp", "mkdir", "mv", "rm", "sh", "zsh")


def furnish(folder: Path, *names: str) -> Path:
    """A folder for PATH with these programs and an apt-get that is quick."""
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or "/")
    program(folder / "apt-get", "echo Inst zsh")
    return folder


@pytest.fixture
def tools(home: Path) -> Path:
    """A PATH with what the example jobs need, and no git."""
    return furnish(home, *NEEDED)


def program(path: Path, code: str) -> None:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)


def test_a_failed_job_s_output_is_shown_and_git_is_not_needed(tools: Path) -> None:
    program(tools / "gh", "exit 4")
    done = subprocess.run(
        DEMO, env=os.environ | {"PATH": str(tools)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = "tool-completions failed, rc 1; its output:\n  no completion from: gh completion"
    assert f"\n\n{told} --shell zsh\n  tools: 0\n\nEach job ran exactly once" in done.stdout
    assert "dotfiles-maintenance  idle        day       1 succeeded" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_in_the_middle_leaves_nothing_behind(number: signal.Signals) -> None:
    terminal, other = pty.openpty()
    env = os.environ | {"TERM": "xterm"}  # a dumb one is shown no progress
    with subprocess.Popen(DEMO, stdin=other, stdout=other, stderr=other, env=env) as running:
        os.close(other)
        said = read_until(terminal, rb"waiting for \d+ runs")
        running.send_signal(number)
        assert running.wait(LIMIT_S) == 130
    os.close(terminal)
    home = re.search(rb"private home (\S+);", said)
    assert home
    assert not os.path.exists(home[1])
    assert processes_of(os.fsdecode(home[1])) == []


def read_until(terminal: int, pattern: bytes) -> bytes:
    said = b""
    while not re.search(pattern, said):
        said += os.read(terminal, 4096)
    return said


def processes_of(home: str) -> list[str]:
    """Processes whose environment names `home`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(home) in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue  # gone meanwhile, or not ours
    return found
