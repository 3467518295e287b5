"""Times first prompt, first output, first command, command lag and exit.

As zsh-bench does it: a shell in a terminal, keys sent and the screen read. One figure is
ours: the Enter that is sent the moment the prompt shows, which a harness that types ahead
cannot see. Each shell has ten jobs of 20 ms CPU to hand over, and the next shell is not
started before those jobs are done, or they would be measured in its place.
"""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.pty import ZSH

from . import contestants
from .contestants import EVALCACHE, FLOOR, US
from .screen import PROMPT, Screen
from .stage import Stage, settled
from .values import Figure

JOBS, JOB_MS = 10, 20.0
ASK, ANSWER = b"print $((6*7))7\r", b"427"
FIGURES = ("first-prompt", "first-output", "first-command", "command", "exit")


@dataclass
class _Contest:
    """One contestant's home, and its samples for each figure."""

    name: str
    env: dict[str, str]
    done: Path
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, figure: str, seconds: float) -> None:
        self.samples.setdefault(figure, []).append(seconds * 1000)

    def finish_jobs(self) -> None:
        """Wait until this shell's jobs are done and everything is quiet."""
        if self.name not in (FLOOR, EVALCACHE):
            settled(self.done, JOBS)
        self.done.unlink(missing_ok=True)


def measure(stage: Stage) -> list[Figure]:
    """All five figures."""
    contests = {name: _contest(stage, name) for name in contestants.available(stage)}
    for contest in contests.values():
        _warm(contest)
    for name in stage.rounds(list(contests), stage.size.shells):
        _one_shell(contests[name], stage.size.enters)
        _type_ahead(contests[name])
        _exit(contests[name])
    return _figures(stage, contests)


def _contest(stage: Stage, name: str) -> _Contest:
    if name == US:
        daemon = stage.daemon()
        _, env = stage.home()
        env |= {"ZDEFERD_SOCKET": str(daemon.socket)}
    else:
        _, env = stage.home()
    home = Path(env["HOME"])
    contest = _Contest(name, env, home / "done")
    (home / ".zshrc").write_text(contestants.zshrc(stage, name, JOBS, JOB_MS, contest.done))
    return contest


def _warm(contest: _Contest) -> None:
    """The first shell of all: it fills caches (evalcache's too) and is not counted."""
    with Screen(contest.env) as screen:
        screen.see()
        contest.finish_jobs()


def _one_shell(contest: _Contest, enters: int) -> None:
    with Screen(contest.env) as screen:
        prompt = screen.see()
        asked = screen.write(ASK)
        answered = screen.see(ANSWER)
        screen.see()
        contest.add("first-prompt", prompt - screen.started)
        contest.add("first-output", answered - asked)
        contest.finish_jobs()
        for _ in range(enters):
            screen.drain()  # some redraw the prompt when a job has ended
            contest.add("command", -screen.write(b"\r") + screen.see())


def _type_ahead(contest: _Contest) -> None:
    with Screen(contest.env) as screen:
        screen.write(ASK)
        contest.add("first-command", screen.see(ANSWER) - screen.started)
        screen.see(PROMPT)
        contest.finish_jobs()


def _exit(contest: _Contest) -> None:
    """`zsh -ic exit`: a shell without a prompt hands nothing over."""
    with Screen(contest.env, (ZSH, "-d", "-lic", "exit")) as screen:
        contest.add("exit", screen.wait() - screen.started)
    if contest.name != US:
        contest.finish_jobs()


def _figures(stage: Stage, contests: dict[str, _Contest]) -> list[Figure]:
    made = {
        name: Figure(name, title, "ms", how, skipped=_skipped(stage))
        for name, (title, how) in TITLES.items()
    }
    for name, figure in made.items():
        for contest in contests.values():
            figure.add(contest.name, contest.samples.get(name, []))
        over = figure.p50(US) - figure.p50(FLOOR)
        figure.goal("over the floor, p50, ms", over, OVER_FLOOR[name])
    return list(made.values())


def _skipped(stage: Stage) -> dict[str, str]:
    return stage.peers.missing(*contestants.ALL)


TITLES = {
    "first-prompt": (
        "First prompt lag",
        "from the start of zsh to the prompt on the screen, ten jobs of 20 ms CPU handed over",
    ),
    "first-output": (
        "Enter at the first prompt to its output",
        "a command line sent the moment the prompt shows, to what it prints",
    ),
    "first-command": (
        "First command lag",
        "a command line typed ahead, from the start of zsh to what it prints",
    ),
    "command": (
        "Command lag",
        "Enter on an empty line to the next prompt, once the jobs are done",
    ),
    "exit": ("Exit time", "the whole of `zsh -lic exit`"),
}
OVER_FLOOR = {
    "first-prompt": 0.3,
    "first-output": 0.5,
    "first-command": 1.0,
    "command": 0.05,
    "exit": 1.0,
}


def version() -> str:
    """The zsh that is measured."""
    return subprocess.run([ZSH, "--version"], capture_output=True, text=True, check=True).stdout
