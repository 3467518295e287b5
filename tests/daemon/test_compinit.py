"""`zdefer compinit` end to end: shells, the daemon that keeps their dump, and what it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.completion import prepare
from support.daemon import Daemon
from support.terminal import Terminal

SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
RUNS = "SELECT count(*) FROM runs WHERE job LIKE 'compinit-%' AND state = 'ended'"

SHELLS = "SELECT count(*) FROM shells"


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    daemon = Daemon(home).start()
    yield daemon
    daemon.close()


def shell_says(daemon: Daemon, zshrc: str, words: str, runs: int) -> str:
    """Return what a new shell prints of `words`; it is open until `runs` have ended."""
    known = daemon.rows(SHELLS)[0][0]
    (daemon.home / ".zcompdump").unlink(missing_ok=True)  # there only where compinit itself looked
    with Terminal(daemon.home, zshrc) as shell:
        shell.prompt()
        daemon.wait_for(SHELLS, known + 1)
        daemon.wait_for(RUNS, runs)
        return shell.ask(words)


def test_the_next_shell_has_what_changed(daemon: Daemon, home: Path) -> None:
    zshrc = f"source {SHIM}\n{prepare(home)}zdefer compinit\n"
    loaded = '~/.zcompdump(N:t) "[$_comps[mine]] [$_comps[newer]]"'
    assert shell_says(daemon, zshrc, loaded, runs=1) == ".zcompdump [_mine] []"
    assert shell_says(daemon, zshrc, loaded, runs=1) == "[_mine] []"
    (home / "mine/_newer").write_text("#compdef newer\n")
    assert shell_says(daemon, zshrc, loaded, runs=2) == "[_mine] []"
    assert shell_says(daemon, zshrc, loaded, runs=2) == "[_mine] [_newer]"
    (home / "mine/_newer").write_text("#compdef newer mine\n")
    shell_says(daemon, zshrc, loaded, runs=3)
    [(job, outcome)] = daemon.rows("SELECT job, outcome FROM runs ORDER BY id DESC LIMIT 1")
    assert outcome == "succeeded"
    dump = home / f".cache/zdeferd/compinit/{job}.zsh"
    assert Path(f"{dump}.zwc").exists()
    dump.unlink()
    shell_says(daemon, zshrc, loaded, runs=4)
    assert dump.exists()


def test_what_is_insecure_is_said(daemon: Daemon, home: Path) -> None:
    zshrc = f"source {SHIM}\n{prepare(home)}zdefer compinit -i\n"
    shell_says(daemon, zshrc, "x", runs=1)
    (home / "mine").chmod(0o777)
    shell_says(daemon, zshrc, "x", runs=2)
    [(job,)] = daemon.rows("SELECT DISTINCT job FROM runs")
    said = "completion leaves out what is insecure: "
    for verb in ("status", "doctor", f"why {job}"):
        told = " ".join(daemon.run("zdeferd.cli", *verb.split()).stdout.split())
        assert said in told, verb
        assert "chmod go-w" in told, verb
    assert "left out, as by compinit -i" in daemon.run("zdeferd.cli", "log", job).stdout
    comps = '"[$_comps[mine]] [$_comps[tool]]"'
    assert shell_says(daemon, zshrc, comps, runs=2) == "[] [_tool]"
    (home / "mine").chmod(0o755)
    assert said not in daemon.run("zdeferd.cli", "doctor").stdout
