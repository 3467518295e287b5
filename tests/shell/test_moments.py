"""When a visit begins: at once where a prompt is up, and whatever becomes of the hooks."""

from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer, asleep, connections, wait_for_visit, wait_until

LATE = {
    "a timer": "zmodload zsh/sched; sched +1 late",
    "a descriptor": "ready() { zle -F $1; exec {number}<&-; late }\nmkfifo fifo\n"
    "exec {number}<>fifo; zle -F $number ready",
    "a widget": "zle -N late; bindkey '^O' late",
}


@pytest.mark.parametrize("how", LATE)
def test_what_is_registered_at_a_prompt_needs_no_key(
    how: str, home: Path, peer: Peer, start: Start
) -> None:
    shell = start(f"late() {{ zdefer add late -- true }}\n{LATE[how]}\nzdefer add early -- true")
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["early"]
    if how != "a timer":  # which may come before this visit is over
        wait_for_visit(peer.path, shell)
    if how == "a widget":
        shell.type("\x0f")
    elif how == "a descriptor":
        (home / "fifo").write_text("\n")
    assert [job.id for job in peer.take().jobs] == ["late"]
    wait_for_visit(peer.path, shell)
    assert shell.screen.count("ready>") == 1


def test_a_plugin_that_is_loaded_at_a_prompt_needs_no_key(peer: Peer, start: Start) -> None:
    shell = start(
        f"zmodload zsh/sched; load() {{ source {PLUGIN}; zdefer add a -- true }}; sched +1 load",
        plugin=False,
    )
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["a"]
    assert shell.screen.count("ready>") == 1


@pytest.mark.parametrize("value", ["(mine)", "()"])
def test_hooks_that_are_replaced_lose_nothing(value: str, peer: Peer, start: Start) -> None:
    shell = start(f"zdefer add early -- true\nmine() {{ : }}\nprecmd_functions={value}")
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["early"]
    wait_for_visit(peer.path, shell)
    shell.run(f"precmd_functions={value}; zdefer add late -- true; precmd_functions={value}")
    assert [job.id for job in peer.take().jobs] == ["late"]


def test_a_retry_whose_hook_is_gone_goes_with_the_next_job(peer: Peer, start: Start) -> None:
    shell = start("zdefer add early -- true")
    shell.prompt()
    identity, _ = peer.receive()
    peer.answer(identity, [b"what"])  # ends the visit, and leaves it to a later prompt
    wait_for_visit(peer.path, shell)
    assert shell.ask("$precmd_functions") == ".zdeferd-precmd"
    peer.take()
    wait_for_visit(peer.path, shell)
    shell.run("zdefer add b -- true")
    identity, _ = peer.receive()
    peer.answer(identity, [b"what"])
    wait_for_visit(peer.path, shell)
    shell.run("precmd_functions=()")
    assert peer.silent(0.05)
    shell.run("zdefer add late -- true")
    assert [job.id for job in peer.take().jobs] == ["b"]
    assert [job.id for job in peer.take().jobs] == ["late"]


def test_no_visit_begins_while_a_command_edits_a_variable(peer: Peer, start: Start) -> None:
    """`vared` waits for keys too, but the command goes on, and may fork."""
    shell = start("zdefer add early -- true\nvalue=edited; vared -p 'edit> ' value")
    shell.expect("edit> ")
    wait_until(lambda: asleep(shell.pid), "it waits for a key")
    assert peer.silent(0.1)
    assert connections(peer.path) == 0
    shell.type("\r")
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["early"]


def test_a_shell_without_prompts_loads_no_editor(start: Start) -> None:
    shell = start(argv=["zsh", "-d", "-ic", "print zle=$(zmodload -e zsh/zle && print loaded)"])
    assert shell.wait() == 0
    assert "zle=\n" in shell.screen


def test_a_timer_that_comes_after_the_end_says_nothing(peer: Peer, start: Start) -> None:
    late = "zmodload zsh/sched; late() { zdefer add late -- true; zdeferd_plugin_unload }"
    shell = start(f"{late}; sched +1 late")
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    wait_until(lambda: "late" not in shell.run("sched"), "the timer has come")
    assert shell.run("sched; zle -FL") == ""
    assert peer.silent(0.05)
    assert "zdeferd" not in shell.screen
