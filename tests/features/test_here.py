"""FEATURE_PLACE=here: deferred work in this shell, once ZLE waits; its line by the daemon."""

import time
from pathlib import Path

from features.conftest import Start
from features.test_registry import add, out
from shell.peer import Peer, wait_for_visit, wait_until
from support.daemon import Daemon
from support.terminal import LIMIT_S

POST = "feature_registry_invoke_phase postprompt"


def here(name: str, body: str) -> str:
    """A feature whose deferred part runs in the shell."""
    return (
        f"feature_registry_add {name} 2 '' yes misc '' '' here\n"
        f"feature_{name}_postprompt() {{ {body}\n}}\n"
    )


def test_it_runs_in_this_shell_after_the_prompt_and_is_told_once(home: Path, start: Start) -> None:
    with Peer(home / "run/zdeferd/sock") as peer:
        code = here("a_b", "said=yes") + here("c", "return 300")
        shell = start(code + here("d", "exit 7") + f"{POST}; {POST}; print -r -- before:$said.")
        shell.expect(r"before:\.")
        shell.prompt()
        first = peer.take()
        assert (first.postprompt, first.done) == (True, ())
        second = peer.take()
        assert [(one.id, one.rc) for one in second.done] == [("a-b", 0), ("c", 255), ("d", 7)]
        assert all(0 <= one.ms < 10_000 for one in second.done)
        assert not second.postprompt
        wait_for_visit(peer.path, shell)
        assert shell.ask("$said $ZSH_FEATURE_STATUS[a_b] $ZSH_FEATURE_STATUS[c]") == "yes ok error"
        assert "[zf][ERR] feature c: postprompt: rc=300" in shell.screen
        assert "[zf][ERR] feature d: postprompt: rc=7" in shell.screen
        assert peer.silent(0.2)


def test_without_a_daemon_it_runs_all_the_same(start: Start) -> None:
    shell = start(here("a", "print -r -- r'an'") + here("b", "print -r -- t'oo'") + POST)
    shell.expect("ran\n")
    shell.expect("too\n")
    shell.prompt()
    assert shell.ask("$#_zdeferd_here") == "0"


def test_a_key_comes_before_the_next_function(home: Path, start: Start) -> None:
    """The first function waits for the key to be there; the second must come after its echo."""
    wait = f": >{home}/first; while [[ ! -e {home}/typed ]]; do zselect -t 1; done"
    code = "zmodload zsh/zselect\nkey() { keyed=$second; }; zle -N key; bindkey x key\n"
    code += here("a", wait) + here("b", "second=ran")
    shell = start(code + POST)
    wait_until((home / "first").exists, "the first one runs")
    shell.type("x")
    (home / "typed").touch()
    deadline = time.monotonic() + LIMIT_S
    while shell.ask("$second") != "ran":
        assert time.monotonic() < deadline
    assert shell.ask("'<'$keyed'>'") == "<>"


def test_a_prompt_that_it_changes_is_drawn(start: Start) -> None:
    shell = start(here("a", "PROMPT='other> '") + POST)
    shell.expect("other> ")


def test_what_was_switched_off_does_not_run(start: Start) -> None:
    code = here("a", "said=a") + here("b", "said+=b") + f"{POST}; zsh-features off a"
    shell = start(code)
    shell.prompt()
    deadline = time.monotonic() + LIMIT_S
    while "b" not in (said := shell.ask("$said")):
        assert time.monotonic() < deadline
    assert said == "b"


def test_a_script_runs_none(home: Path) -> None:
    assert out(add("x") + here("a", "print ran") + POST, home) == []


def test_the_daemon_writes_its_line_once(home: Path, start: Start) -> None:
    log = home / "perf.log"
    daemon = Daemon(home, PERF_SEGMENT_LOG=str(log)).start()
    try:
        shell = start(f"export PERF_SEGMENT_LOG={log}\n" + here("a_b", "return 3") + POST)
        shell.prompt()
        deadline = time.monotonic() + LIMIT_S
        while not (log.exists() and "DEFERRED" in log.read_text()):
            assert time.monotonic() < deadline
            shell.read(0.05)
        (line,) = [one for one in log.read_text().splitlines() if "DEFERRED" in one]
        assert line.startswith("DEFERRED id=a-b ms=")
        assert line.endswith(" rc=3")
    finally:
        daemon.stop()
