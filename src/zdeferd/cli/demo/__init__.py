"""Watch zdeferd work, in a minute, without touching anything of yours.

Makes a private home in /tmp with the example jobs, starts a private daemon, opens
five real zsh at once, and shows when each prompt came up, that each job ran once for
its scope although five shells asked for it, what it cost, and the lines of the shared
log. Then one .zshrc as it was, and with zdefer: both first prompts. Ends every process
that it started, also after Ctrl-C.

Examples:

zdeferctl demo
"""

from __future__ import annotations

import shutil
import time

from ...errors import ZdeferdError
from ...install.share import share
from ...view.render import Style, duration, kib, table
from ...view.runs import cpu_ms, wall_ms
from ..ending import interrupted_by_signals
from ..visible import Visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from ...ledger.reading import RunRow
    from ..call import Call
    from .stage import Stage

    Document = dict[str, Any]

SHELLS = 5
PROMPT = "zdefer-demo> "
LIMIT_S = 120.0
OUTPUT_LINES = 10
"""The last lines of a failed job's output, which are shown."""

ZSHRC = """\
PROMPT='{prompt}'
fpath=(~/.cache/zsh/completions $fpath)
source {plugin}

# A function of this shell: it travels to the daemon and runs there, once a shell.
demo-count() {{ local -a lines=(${{(f)"$(<~/.zshrc)"}}); print "$#lines lines" }}
zdefer add demo-count -- demo-count
"""
HISTORY = ": 1767225600:0;make demo\n: 1767225660:0;zdeferctl status\n"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def perform(call: Call) -> int:
    """Run the demonstration; return 0 if each job ran exactly once for its scope, else 1."""
    if not shutil.which("zsh"):
        raise ZdeferdError("demo: zsh is missing", "install zsh 5.8 or newer")
    from .stage import Stage

    begun = time.monotonic()
    with interrupted_by_signals(), Stage() as stage:
        found = _play(stage, call)
    found["elapsed_ms"] = round((time.monotonic() - begun) * 1000)
    return call.answer(found, lambda style: text(found, style), 0 if found["exactly_once"] else 1)


def _play(stage: Stage, call: Call) -> Document:
    """Start daemon and shells, wait for the jobs, and return the document of the results."""
    from . import start

    _furnish(stage)
    expected = _expected(stage)
    daemon_ms = stage.start_daemon()
    call.progress(f"private home {stage.home}; daemon ready after {duration(daemon_ms)}")
    opened_at = time.time()
    stage.open_shells(SHELLS, PROMPT)
    _wait(stage, lambda: all(shell.prompt_ms for shell in stage.shells), "the prompts")
    idle = {job for job, plan in expected.items() if plan["on"] == "idle"}
    due = sum(plan["runs"] for job, plan in expected.items() if job not in idle)
    call.progress(f"prompts are up; waiting for {due} runs")
    _wait(stage, lambda: _ended(stage) >= due, "the jobs")
    stage.shells[0].type("zdefer idle")  # as a screen lock would
    _wait(stage, lambda: _ended(stage) >= due + len(idle), "the idle jobs")
    _wait(stage, lambda: _logged(stage, due + len(idle)), "the log")
    found = _document(stage, expected, daemon_ms, opened_at)
    stage.close_shells()
    call.progress("second act: one .zshrc, as it was and with zdefer")
    return found | {"second_act": start.play(stage, PROMPT)}


def _furnish(stage: Stage) -> None:
    """Write a start-up file, history, the plugin, dotfiles in git, and the jobs."""
    from . import start

    stage.copy(share("shell"), ".zsh/plugins/zdeferd")
    plugin = f"{stage.home}/.zsh/plugins/zdeferd/zdeferd.plugin.zsh"
    stage.write(".zshrc", ZSHRC.format(prompt=PROMPT, plugin=plugin))
    stage.write(".zsh_history", HISTORY)
    start.furnish(stage, PROMPT, plugin)
    stage.copy(share("examples", "jobs.d"), ".config/zdeferd/jobs.d")
    if not shutil.which("git"):
        return  # dotfiles-maintenance then finds no repository
    stage.write(".dotfiles/zshrc", "source ~/.zshrc\n")
    git = ("git", "-C", ".dotfiles", "-c", "user.name=demo", "-c", "user.email=demo@localhost")
    stage.run("git", "init", "-q", ".dotfiles")
    stage.run(*git, "add", ".")
    stage.run(*git, "commit", "-q", "-m", "dotfiles")


def _expected(stage: Stage) -> dict[str, Document]:
    """Return of each job its trigger, its scope, and its number of runs for five shells."""
    from ...jobs.files import load

    jobs = {
        job.id: {"on": str(job.on[0]), "once_per": str(job.once_per), "runs": 1}
        for job in load(stage.paths).jobs.values()
    }
    return jobs | {"demo-count": {"on": "postprompt", "once_per": "shell", "runs": SHELLS}}


def _wait(stage: Stage, holds: Callable[[], bool], what: str) -> None:
    for _ in stage.watch(LIMIT_S):
        if holds():
            return
    raise ZdeferdError(f"demo: {what} did not come within {LIMIT_S:.0f} s")


def _ended(stage: Stage) -> int:
    from ...ledger.reading import reading

    with reading(stage.paths.ledger) as view:
        return sum(view.outcomes(0.0).values())


def _log(stage: Stage) -> list[str]:
    try:
        with open(stage.paths.shared_log, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _logged(stage: Stage, runs: int) -> bool:
    """Return whether the log has the lines of so many runs, and that of the idle batch.

    On a busy machine the idle batch comes by itself, before the last run of the others.
    """
    lines = _log(stage)
    jobs = sum(line.startswith("DEFERRED id=") for line in lines)
    return jobs >= runs and any(line.startswith("IDLE:SUMMARY") for line in lines)


def _document(
    stage: Stage, expected: dict[str, Document], daemon_ms: float, opened_at: float
) -> Document:
    from ...ledger.reading import reading

    with reading(stage.paths.ledger) as view:
        runs = list(reversed(view.runs(limit=1000)))
    lines = _log(stage)
    jobs = [
        {"job": job, "on": plan["on"], "once_per": plan["once_per"], "runs_expected": plan["runs"]}
        | _sums([run for run in runs if run["job"] == job])
        | {"log_lines": sum(f"DEFERRED id={job} " in line for line in lines)}
        for job, plan in expected.items()
    ]
    first = min(run["started_at"] or opened_at for run in runs)
    return {
        "home": stage.home,
        "daemon_ready_ms": round(daemon_ms),
        "prompts_ms": sorted(round(shell.prompt_ms or 0) for shell in stage.shells),
        "first_job_ms": round(1000 * (first - opened_at)),
        "jobs": jobs,
        "failures": [_failure(stage, run) for run in runs if run["outcome"] != "succeeded"],
        "log": lines,
        "exactly_once": all(j["runs"] == j["runs_expected"] == j["log_lines"] for j in jobs),
    }


def _failure(stage: Stage, run: RunRow) -> Document:
    """Return a run that did not succeed, with the last lines of its output."""
    try:
        with open(f"{stage.paths.runs}/{run['id']}/output", "rb") as file:
            output = Visible().text(file.read(), final=True)
    except FileNotFoundError:
        output = ""
    lines = output.expandtabs().split("\n")
    while lines and not lines[-1]:
        lines.pop()
    told = {"job": run["job"], "outcome": run["outcome"], "rc": run["rc"]}
    return told | {"output": lines[-OUTPUT_LINES:]}


def _sums(runs: list[RunRow]) -> Document:
    """Return the sums over one job's runs."""
    outcomes = sorted({run["outcome"] or "running" for run in runs})
    return {
        "runs": len(runs),
        "outcomes": outcomes,
        "wall_ms": sum(int(wall_ms(run, 0) or 0) for run in runs),
        "cpu_ms": sum(cpu_ms(run) or 0 for run in runs),
        "max_rss_kib": max((run["max_rss_kib"] or 0 for run in runs), default=0),
    }


HEADS = ("JOB", "ON", "ONCE PER", "RUNS", "WALL", "CPU", "PEAK")
RIGHT = frozenset({4, 5, 6})


def text(found: Document, style: Style) -> str:
    """Return the results as text."""
    from . import start

    prompts = ", ".join(map(str, found["prompts_ms"]))
    cpu = sum(job["cpu_ms"] for job in found["jobs"] if job["once_per"] != "shell")
    verdict = (
        style.paint("Each job ran exactly once for its scope.", "green")
        if found["exactly_once"]
        else style.paint("NOT every job ran exactly once for its scope.", "red")
    )
    return "\n".join(
        [
            f"{SHELLS} zsh opened at once. Prompts up after {prompts} ms;",
            f"the first job began after {found['first_job_ms']} ms.",
            "",
            table(HEADS, [_cells(job, style) for job in found["jobs"]], style, RIGHT),
            *(line for failure in found["failures"] for line in _failure_lines(failure, style)),
            "",
            f"{verdict} What the shells share took",
            f"{duration(cpu)} of CPU; done by each of the {SHELLS} shells it would have been"
            f" {duration(SHELLS * cpu)}.",
            "",
            style.dim("The shared log:"),
            *found["log"],
            "",
            *start.text(found["second_act"], style),
            "",
            style.dim(f"{duration(found['elapsed_ms'])} in all. Nothing was left behind."),
        ]
    )


def _failure_lines(failure: Document, style: Style) -> list[str]:
    rc = "" if failure["rc"] is None else f", rc {failure['rc']}"
    says = "its output:" if failure["output"] else "it printed nothing"
    head = f"{style.bold(failure['job'])} {style.state(failure['outcome'])}{rc}; {says}"
    return ["", head, *(f"  {line}" for line in failure["output"])]


def _cells(job: Document, style: Style) -> list[str]:
    return [
        style.bold(job["job"]),
        job["on"],
        job["once_per"],
        f"{job['runs']} {', '.join(map(style.state, job['outcomes']))}",
        duration(job["wall_ms"]),
        duration(job["cpu_ms"]),
        kib(job["max_rss_kib"]),
    ]
