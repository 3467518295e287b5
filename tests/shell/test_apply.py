"""Outputs that shells source once they are published: real shells, a real daemon."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer, asleep, connections, wait_until
from support.daemon import Daemon
from support.terminal import Terminal

from zdeferd.wire import frames

MAKE = "print -r -- 'typeset -gi made; made+=1; typeset top=$RANDOM; alias hi=\"print hello\"'"
"""Code of a job: what its output does counts how often it was sourced."""
ADD = "zdefer add made --once-per ever --output ~/made.zsh --apply -- '{}; read <~/go'"
Open = Callable[..., Terminal]


@pytest.fixture
def gate(home: Path) -> Path:
    """A FIFO; a line in it ends the job."""
    os.mkfifo(home / "go")
    return home / "go"


@pytest.fixture
def running(home: Path) -> Iterator[Daemon]:
    """A daemon in a home that the shells share."""
    made = Daemon(home)
    yield made.start()
    made.close()


@pytest.fixture
def opened(home: Path) -> Iterator[Open]:
    """Opens shells that declare the job."""
    with ExitStack() as shells:

        def one(after: str = "", before: str = "", code: str = MAKE, **more: str) -> Terminal:
            add = ADD.format(code.replace("'", "'\\''"))
            zshrc = f"{before}\nsource {PLUGIN}\n{add}\n{after}\n"
            return shells.enter_context(Terminal(home, zshrc, env=more))

        yield one


def waits(daemon: Daemon, count: int) -> None:
    """Until that many shells wait for the run, and none visits."""
    daemon.wait_for("SELECT count(*) FROM runs WHERE job = 'made'", 1)
    wait_until(lambda: connections(daemon.socket) == count, f"{count} connections")


def has(shell: Terminal, times: int) -> None:
    """The shell has sourced the output so often, at its top level."""
    assert shell.ask("${made:-0} ${+top}") == f"{times} {min(times, 1)}"


def test_five_shells_source_the_output_of_one_run_once_each(
    running: Daemon, gate: Path, opened: Open
) -> None:
    shells = [opened() for _ in range(5)]
    for shell in shells:
        shell.prompt()
    waits(running, 5)
    gate.write_text("\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 5)
    waits(running, 0)
    for shell in shells:
        has(shell, 1)
        assert shell.run("hi") == "hello"
    assert running.rows("SELECT count(*) FROM runs WHERE job = 'made'") == [(1,)]


def test_a_command_line_comes_first_and_nothing_inherits_the_connection(
    running: Daemon, gate: Path, opened: Open
) -> None:
    shell = opened()
    shell.prompt()
    waits(running, 1)
    os.mkfifo(gate.parent / "second")
    shell.line("ls -l /proc/self/fd | grep -c socket; read <~/second; print now $made")
    shell.expect(r"\n0\n")
    waits(running, 0)
    gate.write_text("\n")
    running.wait_until_done(1)
    (gate.parent / "second").write_text("\n")
    shell.expect(r"now\s*\n")
    shell.prompt()
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    has(shell, 1)
    waits(running, 0)


def test_keys_come_first_and_are_kept(running: Daemon, gate: Path, opened: Open) -> None:
    shell = opened()
    shell.prompt()
    waits(running, 1)
    shell.type("print typed-")
    shell.expect("typed-")
    gate.write_text("\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    shell.type("ahead $made\r")
    shell.expect(r"typed-ahead 1\n")


def test_a_daemon_that_ends_before_it_has_said_so(home: Path, gate: Path, opened: Open) -> None:
    daemon = Daemon(home, ZDEFERD_CRASH_AT=f"daemon.end-committed:1:9:{home}/tally")
    try:
        daemon.start()
        shell = opened()
        shell.prompt()
        waits(daemon, 1)
        gate.write_text("\n")
        assert daemon.process is not None
        assert daemon.process.wait(200) == -9
        has(shell, 0)
        daemon.start()
        shell.run(":")
        daemon.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
        has(shell, 1)
    finally:
        daemon.close()


def test_a_shell_that_is_killed_while_it_applies_hurts_no_other(
    running: Daemon, gate: Path, opened: Open
) -> None:
    code = "print -r -- '[[ -z $SLOW ]] || { : >~/here; while :; do :; done }; made=1'"
    slow, shell = opened(code=code, SLOW="1"), opened(code=code)
    for one in (slow, shell):
        one.prompt()
    waits(running, 2)
    gate.write_text("\n")
    wait_until((gate.parent / "here").exists, "the shell applies")
    os.kill(slow.pid, signal.SIGKILL)
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    assert shell.ask("$made") == "1"


def test_a_run_that_fails_ends_the_waiting(running: Daemon, gate: Path, opened: Open) -> None:
    shell = opened(code="setopt err_exit; print no; (exit 3)")
    shell.prompt()
    running.wait_for("SELECT count(*) FROM runs WHERE rc = 3", 1)
    waits(running, 0)
    assert shell.ask("$#_zdeferd_awaited") == "0"


def test_unloading_ends_the_waiting(running: Daemon, gate: Path, opened: Open) -> None:
    shell = opened("drop() { zdeferd_plugin_unload }; zle -N drop; bindkey '^X' drop")
    shell.prompt()
    waits(running, 1)
    shell.type("\x18")
    waits(running, 0)
    gate.write_text("\n")
    running.wait_until_done(1)
    assert shell.ask("${(k)parameters[(I)_zdeferd*]} ${(k)functions[(I)*zdeferd*]} $made") == ""


def test_what_is_registered_while_it_waits_goes_at_once(
    running: Daemon, gate: Path, opened: Open
) -> None:
    shell = opened(
        "more() { zdefer add more --once-per ever -- true }; zle -N more; bindkey '^X' more\n"
        "quiet() { zf::idle::run_if_ready again }; zle -N quiet; bindkey '^Y' quiet\n"
        "mine() { zdefer here -n mine -- 'ls -l /proc/self/fd | grep -c socket' }\n"
        "zle -N mine; bindkey '^U' mine\nzdefer add later --on idle -- true"
    )
    shell.prompt()
    waits(running, 1)
    shell.type("\x18")
    running.wait_for("SELECT count(*) FROM jobs WHERE id = 'more'", 1)
    shell.type("\x19")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'later'", 1)
    shell.type("\x15")
    shell.expect(r"\n0\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'mine'", 1)
    waits(running, 1)
    gate.write_text("\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    has(shell, 1)
    waits(running, 0)


def test_no_more_visits_once_nothing_is_left(running: Daemon, gate: Path, opened: Open) -> None:
    shell = opened()
    shell.prompt()
    waits(running, 1)
    shell.run(":")
    waits(running, 1)
    gate.write_text("\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    waits(running, 0)
    (before,) = running.rows("SELECT seq FROM shells")
    for _ in range(3):
        shell.run(":")
    assert running.rows("SELECT seq FROM shells") == [before]


def test_eval_live_brings_the_new_code_to_shells_that_sourced_the_older(
    running: Daemon, home: Path, gate: Path
) -> None:
    def says(version: int, before: str = "") -> None:
        new = home / "tool.new"
        new.write_text(f"#!/bin/sh\n{before}\necho 'version={version} made=$(( made + 1 ))'\n")
        new.chmod(0o755)
        new.rename(home / "tool")

    says(1)
    line = "typeset -gi made\nzdefer eval --live -n tool ~/tool"
    with Terminal(home, f"source {PLUGIN}\n{line}") as first:
        first.prompt()
        running.wait_for("SELECT count(*) FROM runs WHERE job = 'eval-tool' AND rc = 0", 1)
        wait_until(lambda: connections(running.socket) == 0, "the first one waits no longer")
        assert first.ask("$version $made") == "1 1"  # it has run the command itself
        says(2, f"read x <{gate}")
        with Terminal(home, None) as second, Terminal(home, None) as third:
            for shell in (second, third):
                shell.prompt()
            wait_until(lambda: connections(running.socket) == 2, "both wait")
            gate.write_text("\n")
            running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-eval-tool'", 3)
            for shell in (first, second, third):
                assert shell.ask("$version $made") == "2 2"


CHANGE = "--once-per change --watch ~/source --output ~/made.zsh --apply -- cat ~/source"


def published(home: Path, version: int) -> None:
    """The source of the job has that version."""
    (home / "source").write_text(f"typeset -gi made; made+=1; version={version}\n")


@pytest.mark.parametrize("way", ["shell", "file"])
def test_a_shell_opened_before_follows_later_publications(
    running: Daemon, home: Path, way: str
) -> None:
    if way == "file":
        keys = 'output = "~/made.zsh"\napply = true\nonce_per = "change"\nwatch = ["~/source"]'
        running.write_jobs(f'[made]\nrun = "cat ~/source"\n{keys}\n')
    add = f"zdefer add made {CHANGE}\n" if way == "shell" else ""
    published(home, 1)
    made = "SELECT count(*) FROM runs WHERE job = 'made' AND rc = 0"
    applied = "SELECT count(*) FROM runs WHERE job = 'apply-made'"
    with Terminal(home, f"source {PLUGIN}\n{add}") as old:
        old.prompt()
        running.wait_for(applied, 1)
        with Terminal(home, None) as calm:  # nothing is due
            calm.prompt()
            running.wait_for("SELECT count(*) FROM shells", 2)
            wait_until(lambda: connections(running.socket) == 0, "the visit is over")
            assert calm.ask("$#_zdeferd_followed ${made-none}") == "1 none"
            for version in (2, 3):
                published(home, version)
                with Terminal(home, None) as new:
                    new.prompt()
                    running.wait_for(made, version)
                    running.wait_for(applied, 3 * version - 2)
                    assert new.ask("$version $made") == f"{version} 1"
                assert old.ask("$version $made") == f"{version} {version}"
                assert calm.ask("$version $made") == f"{version} {version - 1}"


def test_a_shell_without_a_bell_has_it_at_its_next_prompt(running: Daemon, home: Path) -> None:
    (home / ".local/state/zdeferd/bells").write_text("no folder")
    published(home, 1)
    applied = "SELECT count(*) FROM runs WHERE job = 'apply-made'"
    with Terminal(home, f"source {PLUGIN}\nzdefer add made {CHANGE}\n") as old:
        old.prompt()
        running.wait_for(applied, 1)
        published(home, 2)
        with Terminal(home, None) as new:
            new.prompt()
            running.wait_for(applied, 2)
        old.run(":")
        running.wait_for(applied, 3)
        assert old.ask("$version $made ${_zdeferd[bell]-}") == "2 2"


def test_a_new_daemon_wakes_the_shells_that_follow(running: Daemon, home: Path) -> None:
    published(home, 1)
    applied = "SELECT count(*) FROM runs WHERE job = 'apply-made'"
    with Terminal(home, f"source {PLUGIN}\nzdefer add made {CHANGE}\n") as old:
        old.prompt()
        running.wait_for(applied, 1)
        wait_until(lambda: connections(running.socket) == 0, "the visit is over")
        running.kill()
        running.env["ZDEFERD_CRASH_AT"] = f"daemon.end-committed:1:9:{home}/tally"
        running.start()
        published(home, 2)
        with Terminal(home, None) as new:
            new.prompt()
            assert running.process is not None
            assert running.process.wait(200) == -9
        del running.env["ZDEFERD_CRASH_AT"]
        running.start()
        running.wait_for(applied, 2)
        assert old.ask("$version $made") == "2 2"


def test_a_bell_is_inherited_by_nothing_and_another_file_is_left_alone(
    running: Daemon, home: Path
) -> None:
    os.mkfifo(home / "other")
    published(home, 1)
    with Terminal(home, f"source {PLUGIN}\nzdefer add made {CHANGE}\n") as shell:
        shell.prompt()
        running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
        wait_until(lambda: connections(running.socket) == 0, "the visit is over")
        assert shell.ask("$(readlink /proc/$$/fd/* | grep -c /bells/)") == "1"
        assert shell.run("ls -l /proc/self/fd | grep -c /bells/") == "0"
        reopen = "while (( other < number )); do exec {other}<>$HOME/other; done"
        shell.run(f"number=$_zdeferd[bell]; exec {{number}}>&-; other=0; {reopen}")
        assert shell.ask("$(( number == other ))") == "1"
        shell.run("print kept >&$number")
        wait_until(lambda: asleep(shell.pid), "ZLE has called")
        assert shell.ask("$_zdeferd[bell]") == "-"  # and nothing was read
        assert shell.run("read -u $number; print $REPLY") == "kept"
        shell.run("zdeferd_plugin_unload; print there >&$number")
        assert shell.run("read -u $number; print $REPLY") == "there"
    with Terminal(home, None) as shell:
        shell.prompt()
        running.wait_for("SELECT count(*) FROM shells", 2)
        wait_until(lambda: connections(running.socket) == 0, "the visit is over")
        shell.run("zdeferd_plugin_unload")
        assert shell.ask("$(readlink /proc/$$/fd/* | grep -c /bells/)") == "0"


def test_a_file_that_no_run_has_published_is_not_sourced(
    running: Daemon, home: Path, opened: Open, gate: Path
) -> None:
    shell = opened()
    shell.prompt()
    waits(running, 1)
    gate.write_text("\n")
    running.wait_for("SELECT count(*) FROM runs WHERE job = 'apply-made'", 1)
    (home / "new").write_text("made=9\n")
    (home / "new").rename(home / "made.zsh")
    seq = running.rows("SELECT seq FROM shells")[0][0]
    shell.run(":")
    running.wait_for("SELECT seq FROM shells", seq + 1)  # it asks, and nothing is new
    (home / "made.zsh").unlink()
    for _ in range(2):
        has(shell, 1)
    assert running.rows("SELECT seq FROM shells") == [(seq + 1,)]


def test_a_shell_asks_for_what_it_follows_once_the_file_is_another(
    peer: Peer, start: Start, home: Path
) -> None:
    made = home / "made"
    made.write_text("a\n")
    os.utime(made, (1, 1))
    shell = start("setopt sh_word_split err_return; trap 'print TRAP' ZERR")
    shell.prompt()
    follow = b"follow=made:7:" + os.fsencode(made)
    odd = [b"follow=made:x:/x", b"follow=*:1:/x", b"follow=other:1:x", b"follow=gone:3:/nowhere/x"]
    peer.take(reply=lambda visit: [*frames.answer("ok", seq=1), follow, *odd])
    wait_until(lambda: connections(peer.path) == 0, "the visit is over")
    shell.run(":")
    assert shell.ask("$_zdeferd_followed[made] $_zdeferd_followed[gone]") == f"{made} /nowhere/x"
    assert peer.silent(0.05)
    (home / "new").write_text("b\n")
    (home / "new").rename(made)
    shell.run(":")
    assert peer.take().context.apply.split("\0")[1:] == ["made=7"]
    assert "TRAP" not in shell.screen
    assert shell.ask("$_zdeferd[phase] $#_zdeferd_awaited") == "1"  # not over yet
    shell.run("leave() { zdeferd_plugin_unload }; precmd_functions+=(leave)")
    assert "no such function" not in shell.screen
    shell.run("precmd_functions=(${precmd_functions:#leave}); unfunction leave")
    assert shell.ask("$#precmd_functions ${(k)parameters[(I)_zdeferd*]}") == "0"


def test_a_shell_that_waits_answers_pings_but_not_for_ever(socket: Path, start: Start) -> None:
    with Peer(socket, heartbeat_ms=30) as peer:
        shell = start(
            "look() { zle -M \"pings=${_zdeferd_pings:-0}.\" }; zle -N look; bindkey '^T' look\n"
            "setopt ksh_arrays no_multibyte sh_word_split err_return; trap 'print TRAP' ZERR"
        )
        shell.prompt()
        peer.take(reply=lambda visit: [*frames.answer("ok", seq=1), b"wait=made:7"])

        def pings() -> int:
            """How many it has answered, by a key that is read meanwhile."""
            shell.type("\x14")
            return int(shell.expect(r"pings=(\d+)\.").match[1])

        wait_until(lambda: 0 < pings() < 121, "keys are read between pings")
        wait_until(lambda: connections(socket) == 0, "it waits no longer")
        assert peer.silent(0.05)
        assert shell.ask("$_zdeferd_pings") == "121"
        assert "made=7" in peer.take().context.apply
        assert "TRAP" not in shell.screen


@pytest.mark.parametrize(
    "said",
    [
        [b"apply", b"id=made", b"run=x", b"path=/x"],
        [b"apply", b"id=made", b"run=8", b"path=x"],
        [b"apply", b"id=ma]de", b"run=8", b"path=/x"],
        [b"apply"],
        [b"over"],
        [b"over", b"id=*"],
        [b"apply", b"id=made", b"run=7", b"path=/nowhere/x"],
    ],
)
def test_odd_messages_hurt_nothing(peer: Peer, start: Start, said: list[bytes]) -> None:
    shell = start()
    shell.prompt()
    identity, _ = peer.receive()
    peer.answer(
        identity, [*frames.answer("ok", seq=1), b"wait=made:7", b"wait=*:1", b"over=[", b"x"]
    )
    peer.answer(identity, said)
    peer.answer(identity, [b"over", b"id=made"])
    if said[-1] == b"path=/nowhere/x":  # which it tells at once
        assert [done.id for done in peer.take().done] == ["apply-made"]
    wait_until(lambda: connections(peer.path) == 0, "it waits no longer")
    assert shell.ask("$#_zdeferd_awaited $+functions[zdefer]") == "0 1"


def test_the_same_publication_is_sourced_once(peer: Peer, start: Start, home: Path) -> None:
    (home / "made").write_text("typeset -gi made; made+=1\n")
    path = b"path=" + os.fsencode(home / "made")
    shell = start()
    shell.prompt()
    identity, _ = peer.receive()
    peer.answer(identity, [*frames.answer("ok", seq=1), b"wait=made:7"])
    peer.answer(identity, [b"apply", b"id=made", b"run=7", path])
    identity, second = peer.receive()
    assert second.context.apply.endswith("\0made=8")
    assert [(done.id, done.rc) for done in second.done] == [("apply-made", 0)]
    peer.answer(identity, [*frames.answer("ok", seq=2), b"wait=made:8"])
    for run in (b"7", b"6"):
        peer.answer(identity, [b"apply", b"id=made", b"run=" + run, path])
    peer.answer(identity, [b"over", b"id=made"])
    wait_until(lambda: connections(peer.path) == 0, "it waits no longer")
    assert shell.ask("$made") == "1"
