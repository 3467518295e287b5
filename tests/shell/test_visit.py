"""What a visit says, and when: a real zsh at one end, a real ROUTER at the other."""

import os
import re
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, asleep, connections, wait_for_visit, wait_until
from support.terminal import Terminal

import zdeferd
from zdeferd.wire import frames, messages
from zdeferd.wire import frames as wire_frames

JOB = "build() { make all }; zf::defer::register build build postprompt 'Build it'\n"


def settled(peer: Peer, shell: Terminal) -> None:
    """Wait until the visit is over on both sides."""
    wait_until(lambda: connections(peer.path) == 0, "the visit's connection is closed")
    shell.drain()


def test_the_prompt_comes_before_the_visit(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    identity, visit = peer.receive()
    shell.drain()  # what the shell had written when it sent is readable now
    assert "ready> " in shell.screen
    assert visit.postprompt
    peer.answer(identity, wire_frames.answer("ok", seq=1))


@pytest.mark.parametrize("name", ["é", "à✓", os.fsdecode(b"\x83\x9c")])
def test_a_socket_whose_path_has_letters_beyond_ascii(start: Start, home: Path, name: str) -> None:
    socket = home / name / "sock"
    quoted = "".join(f"\\x{byte:02x}" for byte in os.fsencode(name))
    with Peer(socket) as peer:
        shell = start(JOB, before=f"export ZDEFERD_SOCKET=$HOME/$'{quoted}'/sock")
        assert len(peer.take().jobs) == 1
        wait_for_visit(peer.path, shell)
        numbers = os.listdir(f"/proc/{shell.pid}/fd")
        kept = [os.readlink(f"/proc/{shell.pid}/fd/{number}") for number in numbers]
        assert str(socket.parent) not in kept


def test_a_shell_without_jobs_says_that_its_prompt_is_up(peer: Peer, start: Start) -> None:
    shell = start(env={"PERF_SAMPLE_CONTEXT": "test", "SECRET_TOKEN": "x", "LC_TIME": "C"})
    visit = peer.take()
    environment = frames.split_map(visit.context.environment)
    assert visit.hello.protocol == messages.PROTOCOL
    assert (visit.hello.seq, visit.hello.version) == (1, zdeferd.__version__)
    assert (visit.jobs, visit.functions, visit.postprompt, visit.idle) == ((), (), True, False)
    assert environment["PERF_SAMPLE_CONTEXT"] == "test"
    assert environment["LC_TIME"] == "C"
    assert "SECRET_TOKEN" not in environment
    assert (visit.context.options, visit.context.fpath) == ("", "")
    settled(peer, shell)


def test_a_shell_visits_whose_parent_was_given_its_commands_with_c(
    home: Path, peer: Peer, start: Start
) -> None:
    env = {"ZSH_EXECUTION_STRING": "zsh -i"}  # as `zsh -o allexport -c 'zsh -i'` exports it
    start(f"{JOB}zdefer here -n x ': >{home}/ran'", env=env)
    assert len(peer.take().jobs) == 1
    wait_until((home / "ran").exists, "the command has run in the shell")


def test_jobs_travel_in_order_with_what_they_need(peer: Peer, start: Start) -> None:
    start(
        "setopt extended_glob\n"
        'inner() { print "$TOKEN" }; outer() { print "$(inner)" }; late() { : }\n'
        "TOKEN=secret\n"
        "zf::defer::register one outer postprompt First of all\n"
        "zdefer add two --once-per day --after one --timeout 20s --env TOKEN --env NONE -- git gc\n"
        "zf::idle::register three late 'When idle'\n"
        "zdefer add four --once-per change --watch command:git --watch=rel -f late -- 'outer | x'\n"
    )
    visit = peer.take()
    one, two, three, four = visit.jobs
    assert [job.id for job in visit.jobs] == ["one", "two", "three", "four"]
    assert (one.call, one.on, one.once_per, one.description) == (
        ("outer",),
        "postprompt",
        "shell",
        "First of all",
    )
    assert one.functions == ("outer", "inner")
    assert (two.once_per, two.after, two.timeout, two.env) == (
        "day",
        ("one",),
        "20s",
        ("TOKEN=secret", "NONE"),
    )
    assert (two.call, two.functions) == (("git", "gc"), ())
    assert (three.on, three.functions) == ("idle", ("late",))
    assert four.watch[0] == "command:git"
    assert four.watch[1].endswith("/rel")
    assert sorted(four.functions) == ["inner", "late", "outer"]
    assert sorted(function.name for function in visit.functions) == ["inner", "late", "outer"]
    assert "extendedglob" in frames.split(visit.context.options)
    assert visit.context.fpath


def test_no_answer_is_tried_again_with_the_same_message(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    _, first = peer.receive()
    shell.line("zdefer add later -- make later")
    shell.prompt()
    assert peer.take() == first
    second = peer.take()
    assert (second.hello.nonce, second.hello.seq) == (first.hello.nonce, 2)
    assert [job.id for job in second.jobs] == ["later"]
    assert peer.silent(0.05)


def test_three_repetitions_are_enough(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    for _ in range(4):
        peer.receive()
        shell.run(":")
    for _ in range(3):
        shell.run("zdefer add more -- make more")
    assert peer.silent(0.05)


def test_an_error_is_final(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    peer.take(reply=lambda visit: wire_frames.answer("error", reason="no"))
    settled(peer, shell)
    shell.run(":")
    assert peer.silent(0.05)
    shell.run("zdefer add more -- make more")
    assert peer.take().hello.seq == 2


def test_what_is_registered_later_makes_one_more_visit(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    peer.take()
    settled(peer, shell)
    shell.run("more() { : }; zf::defer::register more more postprompt More")
    visit = peer.take()
    assert ([job.id for job in visit.jobs], visit.postprompt) == (["more"], True)
    settled(peer, shell)
    shell.run("zf::defer::register more more postprompt More")
    assert peer.silent(0.05)
    assert shell.ask("$precmd_functions - $preexec_functions") == "-"


@pytest.mark.parametrize("hooks", ["a", "a '' b", "x.zdeferd-precmd a"])
def test_other_hooks_stay_as_they_were(hooks: str, peer: Peer, start: Start) -> None:
    shell = start(
        f"{JOB}a() {{ : }}; b() {{ : }}\n"
        f"precmd_functions=({hooks} $precmd_functions b); preexec_functions=({hooks} b)\n"
    )
    peer.take()
    settled(peer, shell)
    shell.prompt()
    assert shell.ask('"${(@q)precmd_functions}"') == f"{hooks} b"
    assert shell.ask('"${(@q)preexec_functions}"') == f"{hooks} b"


def test_a_shell_is_new_after_exec(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    first = peer.take()
    settled(peer, shell)
    shell.line("exec zsh -d -i")
    second = peer.take()
    assert second.hello.seq == 1
    assert second.hello.nonce != first.hello.nonce


def test_much_travels_in_several_whole_messages(peer: Peer, start: Start) -> None:
    shell = start(
        "for i in {1..9}; do\n"
        '  functions[f$i]="print ${(l:300000::x:)} ; shared"\n'
        "  zf::defer::register job-$i f$i postprompt Long\n"
        "done\n"
        "shared() { : }\n"
    )
    shell.prompt()
    visits = [peer.take_whole()[0]]
    while not visits[-1].postprompt:
        visits.append(peer.take_whole()[0])
    assert [visit.hello.seq for visit in visits] == list(range(1, len(visits) + 1))
    assert len(visits) == 4
    assert [job.id for visit in visits for job in visit.jobs] == [f"job-{i}" for i in range(1, 10)]
    for visit in visits:
        names = {function.name for function in visit.functions}
        assert all(set(job.functions) <= names for job in visit.jobs)
        assert visit.context.options
    settled(peer, shell)


def test_a_job_too_large_to_travel_is_reported(peer: Peer, start: Start) -> None:
    start(
        'functions[big]="print ${(l:1100000::x:)}"\n'
        "zf::defer::register big big postprompt Big\n"
        "zdefer add small -- make small\n"
    )
    visit = peer.take()
    assert [record.id for record in visit.oversize] == ["big"]
    assert visit.oversize[0].bytes > 1 << 20
    assert (visit.jobs, visit.functions, visit.postprompt) == ((), (), False)
    visit = peer.take()
    assert [job.id for job in visit.jobs] == ["small"]
    assert (visit.oversize, visit.functions, visit.postprompt) == ((), (), True)


def test_large_surroundings_travel(peer: Peer, start: Start) -> None:
    start(JOB, env={"XDG_HUGE": "x" * 70_000}).prompt()
    visit, pieces = peer.take_whole()
    assert (len(visit.jobs), pieces) == (1, 2)
    assert "x" * 70_000 in visit.context.environment


def test_surroundings_too_large_to_travel_leave_the_shell_alone(peer: Peer, start: Start) -> None:
    shell = start(JOB, env={f"XDG_HUGE_{number}": "x" * 110_000 for number in range(10)})
    shell.prompt()
    for _ in range(5):
        wait_until(lambda: asleep(shell.pid), "what follows the prompt has had its turns")
        assert shell.ask("$(( 6 * 7 ))") == "42"
    assert peer.silent(0.05)
    assert shell.ask("$precmd_functions $preexec_functions") == ""


def test_idle_is_sent_at_once_and_once(peer: Peer, start: Start) -> None:
    shell = start()
    shell.prompt()
    assert not peer.take().idle
    settled(peer, shell)
    shell.run("zf::idle::run_if_ready")
    visit = peer.take()
    assert (visit.idle, visit.jobs) == (True, ())
    settled(peer, shell)
    shell.run("zf::idle::run_if_ready")
    assert peer.silent(0.05)
    shell.run("zdefer idle")
    assert peer.take().idle


@pytest.mark.parametrize("call", ["zdefer idle", "zf::idle::run_if_ready"])
@pytest.mark.parametrize("hooks", ["", "precmd_functions=(hook); hook() { : }"])
def test_idle_says_nothing_and_leaves_the_hooks_alone(
    hooks: str, call: str, peer: Peer, start: Start
) -> None:
    shell = start(before=hooks)
    shell.prompt()
    peer.take()
    settled(peer, shell)
    before = shell.ask('"${precmd_functions-none}"')
    assert shell.run(call) == ""
    assert peer.take().idle
    settled(peer, shell)
    assert shell.ask('"${precmd_functions-none}"') == before == ("hook" if hooks else "none")


def test_idle_from_a_widget_needs_no_prompt(peer: Peer, start: Start) -> None:
    shell = start("away() { zf::idle::run_if_ready }; zle -N away; bindkey '^O' away")
    shell.prompt()
    peer.take()
    settled(peer, shell)
    shell.type("\x0f")
    assert peer.take().idle


def test_everything_idle_can_be_switched_off(peer: Peer, start: Start) -> None:
    shell = start(
        "ZSH_IDLE_ENABLE=0\nf() { : }\n"
        "zf::idle::register a f A; zf::defer::register b f idle B; zdefer add c --on idle -- f\n"
        "zf::idle::run_if_ready; zdefer idle\n"
    )
    visit = peer.take()
    assert (visit.jobs, visit.idle) == ((), False)
    assert frames.split_map(visit.context.environment)["ZSH_IDLE_ENABLE"] == "0"
    settled(peer, shell)


def test_the_contracts_names_are_read_at_the_first_prompt(
    home: Path, peer: Peer, start: Start
) -> None:
    shell = start("PERF_SEGMENT_LOG=~/first; ZSH_LOG_STRUCTURED=1")
    shell.prompt()
    for _ in range(2):
        environment = frames.split_map(peer.take().context.environment)
        assert environment["PERF_SEGMENT_LOG"] == f"{home}/first"
        assert environment["ZSH_LOG_STRUCTURED"] == "1"
        settled(peer, shell)
        shell.run("PERF_SEGMENT_LOG=~/second; zdefer add a -- make a")


def test_any_bytes_travel(peer: Peer, start: Start) -> None:
    start("zdefer add bytes -- make $'a\\xff\\n=b' '' 'c d'")
    assert peer.take().jobs[0].call == ("make", "a\udcff\n=b", "", "c d")


def test_a_key_that_waits_comes_before_the_visit(home: Path, peer: Peer, start: Start) -> None:
    os.mkfifo(home / "gate")
    shell = start(f"{JOB}\nread <{home}/gate")
    shell.type('print -r -- "[${_zdeferd[loaded]-nothing} was read]"\r')
    (home / "gate").write_text("\n")
    shell.expect(re.escape("[nothing was read]"))
    assert [job.id for job in peer.take().jobs] == ["build"]


def test_a_terminal_that_zle_does_not_read_holds_nobody_up(peer: Peer, start: Start) -> None:
    master, slave = os.openpty()
    try:
        os.write(master, b"never read\n")
        shell = start(f"{JOB}\nexec 0<{os.ttyname(slave)}")
        assert [job.id for job in peer.take().jobs] == ["build"]
        wait_for_visit(peer.path, shell)
    finally:
        os.close(master)
        os.close(slave)
