"""The main job, end to end: real zsh in real terminals, a real daemon, real jobs."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import systemd
from support.daemon import ASK_LEDGER, Daemon
from support.systemd import UserManager
from support.terminal import Terminal

SHELLS, SHARED, OWN = 5, 10, 5
SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"


def zshrc(home: Path, plugin: Path) -> str:
    """Registers five functions, each of which asks the ledger for its own claim."""
    (home / "ask.py").write_text(ASK_LEDGER)
    lines = [f"source {plugin}", f"ask() {{ {sys.executable} {home}/ask.py $1 }}"]
    for number in range(OWN):
        lines.append(f"own{number}() {{ ask own-{number} }}")
        lines.append(f"zf::defer::register own-{number} own{number} postprompt 'number {number}'")
    return "\n".join(lines)


def shared_jobs(home: Path) -> str:
    return "\n".join(
        f'[shared-{i}]\nrun = ["{sys.executable}", "{home}/ask.py", "shared-{i}"]\n'
        'once_per = "boot"'
        for i in range(SHARED)
    )


def open_shells(daemon: Daemon, plugin: Path, up: Callable[[], None]) -> dict[str, float]:
    """Open the shells at once; when each prompt was up, in seconds since the epoch, by nonce.

    `up` is called once all prompts are.
    """
    text = zshrc(daemon.home, plugin)
    with ExitStack() as stack:
        # The first writes .zshrc, and the others find it.
        texts = [text, *[None] * (SHELLS - 1)]
        shells = [stack.enter_context(Terminal(daemon.home, one)) for one in texts]
        offset = time.time() - time.monotonic()
        prompts = [shell.prompt().at + offset for shell in shells]
        up()
        daemon.wait_until_done(SHARED + SHELLS * OWN)
        for shell in shells:
            assert shell.ask("$(( 6 * 7 ))") == "42"
            assert shell.unread.strip() == "", "nothing was printed over the prompt"
        return {
            shell.ask("$_zdeferd[nonce]"): at for shell, at in zip(shells, prompts, strict=True)
        }


def check(daemon: Daemon, prompts: dict[str, float]) -> None:
    """Each job ran once for its scope, after its claim, after its shell's prompt."""
    jobs = dict(daemon.rows("SELECT job, count(*) FROM runs GROUP BY job"))
    assert jobs == {f"shared-{i}": 1 for i in range(SHARED)} | {
        f"own-{i}": SHELLS for i in range(OWN)
    }
    outcomes = daemon.rows("SELECT DISTINCT outcome, rc FROM runs")
    assert outcomes == [("succeeded", 0)], "each job found its own claim committed"
    visits = dict(daemon.rows("SELECT nonce, seen_at FROM shells"))
    assert visits.keys() == prompts.keys()
    assert all(prompts[nonce] < visits[nonce] for nonce in visits)
    lines = daemon.log()
    deferred = [line for line in lines if re.fullmatch(r"DEFERRED id=\S+ ms=\d+ rc=0", line)]
    totals = [line for line in lines if line.startswith("SEGMENT name=deferred_total ")]
    assert (len(deferred), len(totals), len(lines)) == (35, SHELLS, 35 + SHELLS)


def test_five_shells_at_once(daemon: Daemon) -> None:
    daemon.write_jobs(shared_jobs(daemon.home))
    process = daemon.start().process
    assert process is not None
    # Stopped, it cannot answer: no prompt can have waited for a visit.
    process.send_signal(signal.SIGSTOP)
    check(daemon, open_shells(daemon, SHIM, lambda: process.send_signal(signal.SIGCONT)))


@pytest.mark.skipif(bool(systemd.why_not()), reason=systemd.why_not())
def test_five_shells_at_once_start_the_unit_and_use_the_installed_shim(
    manager: UserManager,
) -> None:
    manager.write_jobs(shared_jobs(manager.home))
    assert manager.property("ActiveState") == "inactive"
    shim = manager.home / ".local/share/zdeferd/shell" / SHIM.name
    # Until all prompts are up the start of the service waits, so no prompt can wait for a visit.
    os.mkfifo(gate := manager.home / "gate")
    manager.drop_in(f"ExecStartPre=/bin/sh -c 'read line <{gate}'")

    def up() -> None:
        gate.write_text("go\n")

    check(manager, open_shells(manager, shim, up))
    assert manager.property("ActiveState") == "active"


def test_jobs_outlive_their_shell_and_its_terminal(daemon: Daemon) -> None:
    """Each way to go, once the daemon has answered: exit, a closed terminal, SIGKILL."""
    daemon.start()
    text = f"source {SHIM}\n" + "\n".join(
        f"zdefer add own-{i} -- 'read -r < {daemon.home}/gate{i}'" for i in range(3)
    )
    for number in range(3):
        (daemon.home / f"gate{number}").write_text("go\n")
    for number, way in enumerate(("exit", "close", "kill")):
        with Terminal(daemon.home, text) as shell:
            shell.prompt()
            daemon.wait_for("SELECT count(*) FROM shells", number + 1)
            if way == "exit":
                shell.line("exit")
                assert shell.wait() == 0
    daemon.wait_until_done(9)
    assert daemon.rows("SELECT DISTINCT outcome FROM runs") == [("succeeded",)]
