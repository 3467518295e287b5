"""What jobs make, and when that is due again: with a real daemon."""

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.daemon import PATIENT, Daemon, Peer, visit
from support.terminal import Terminal
from support.zsh import PLUGIN

CLEARED = """
[cached]
run = "print once >> ~/calls; print 'cached() { }'"
output = "~/cache/init.zsh"
compile = true
once_per = "change"
watch = ["~/input"]

[failing]
run = "print twice >> ~/calls.failing; return 3"
output = "~/cache/failing"
once_per = "change"
watch = ["~/input"]
"""
READ = "local seen=$(<~/input); read -r < ~/gate; print -r -- $seen >> ~/read"
SELF = """
[self]
run = "print -r -- $(( $(<~/input) + 1 )) > ~/input"
once_per = "change"
watch = ["~/input"]
"""

JOBS = """
[made]
run = ["/bin/echo", "made"]
output = "$XDG_CACHE_HOME/made"
once_per = "change"
watch = ["env:XDG_CACHE_HOME"]

[nothing]
run = ["true"]
output = "~/nothing"
"""


@pytest.fixture
def daemon(daemon: Daemon) -> Daemon:
    """A daemon by which all that a visit makes due is claimed when it is answered."""
    daemon.command = [sys.executable, "-c", PATIENT]
    return daemon


@pytest.mark.parametrize("name", ["é✓à", os.fsdecode(b"\xff\xe9")], ids=["utf-8", "latin-1"])
def test_a_home_with_any_letters(home: Path, name: str) -> None:
    folder = home / name
    folder.mkdir(mode=0o700)
    with closing(Daemon(folder)) as daemon:
        daemon.write_jobs(CLEARED)
        daemon.start()
        with Peer(daemon.socket) as peer:
            peer.ask(visit("n1", 1, {"shells": "print hi"}, {"HOME": str(folder)}))
        daemon.wait_until_done(3)
        assert (folder / "cache/init.zsh.zwc").exists()
        done = [
            line.split()[1] for line in (daemon.state / "deferred.log").read_text().splitlines()
        ]
        assert done[:3] == ["id=cached", "id=failing", "id=shells"]
        for words in (["status"], ["runs"], ["show", "cached"], ["run", "shells"]):
            said = daemon.run("zdeferd.cli", *words)
            assert (said.returncode, said.stderr) == (0, ""), said


def test_an_output_is_published_and_a_refusal_is_in_the_ledger(daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    home = str(daemon.home)
    with Peer(daemon.socket) as peer:
        for number, cache in enumerate(("one", "one", "two"), 1):
            env = {"HOME": home, "XDG_CACHE_HOME": f"{home}/{cache}"}
            assert peer.ask(visit(f"n{number}", 1, {}, env))[0] == b"ok"
            daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    for cache in ("one", "two"):
        assert (daemon.home / cache / "made").read_text() == "made\n"
    made = daemon.rows("SELECT key, outcome, rc, refusal FROM runs WHERE job = 'made'")
    assert made == [("change:1", "succeeded", 0, None), ("change:2", "succeeded", 0, None)]
    refused = daemon.rows("SELECT DISTINCT outcome, rc, refusal FROM runs WHERE job = 'nothing'")
    assert refused == [("failed", 65, "it is empty; `empty = true` allows that")]
    assert not (daemon.home / "nothing").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="no file says the umask of a shell")
@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("077", 0o600), ("002", 0o644)])
def test_a_new_output_has_the_umask_of_its_shell(daemon: Daemon, umask: str, mode: int) -> None:
    daemon.write_jobs("[file]\nrun = 'print a file'\noutput = '~/of-file'\n")
    daemon.start()
    add = "zdefer add shell --output ~/of-shell -- print a shell"
    with Terminal(daemon.home, f"umask {umask}\nsource {PLUGIN}\n{add}\n") as shell:
        shell.prompt()
        daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", 2)
    assert (daemon.home / "of-file").stat().st_mode & 0o777 == 0o644
    assert (daemon.home / "of-shell").stat().st_mode & 0o777 == mode


def visits(daemon: Daemon, first: int, count: int = 1) -> None:
    """Shells that visit one after the other, and then all runs have ended."""
    with Peer(daemon.socket) as peer:
        for number in range(first, first + count):
            assert peer.ask(visit(f"n{number}", 1, {}, {"HOME": str(daemon.home)}))[0] == b"ok"
    daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)


def runs_of(daemon: Daemon, job: str) -> list[str]:
    return [row[0] for row in daemon.rows("SELECT outcome FROM runs WHERE job = ?", job)]


def test_a_cleared_cache_comes_back(daemon: Daemon) -> None:
    (daemon.home / "input").write_text("1")
    daemon.write_jobs(CLEARED)
    daemon.start()
    made = [daemon.home / "cache" / name for name in ("init.zsh", "init.zsh.zwc")]
    visits(daemon, 0, 20)
    visits(daemon, 20)
    assert runs_of(daemon, "cached") == ["succeeded"], "twenty shells at once make one run"
    for number, files in enumerate((made, made[:1], made[1:]), 1):
        for file in files:
            file.unlink()
        visits(daemon, 20 + 2 * number, 2)
        assert all(file.exists() for file in made)
        assert runs_of(daemon, "cached") == ["succeeded"] * (1 + number)
    assert runs_of(daemon, "failing") == ["failed"], "what fails is not repeated in each shell"
    why = daemon.run("zdeferd.cli", "why", "cached").stdout
    assert "made because its output was missing: ~/cache/init.zsh.zwc" in " ".join(why.split())


def test_a_job_that_changes_its_own_input_is_due_at_the_next_visit_and_not_at_once(
    daemon: Daemon,
) -> None:
    (daemon.home / "input").write_text("0")
    daemon.write_jobs(SELF)
    daemon.start()
    for number in (1, 2, 3):
        visits(daemon, number)
        assert (daemon.home / "input").read_text() == f"{number}\n"
        assert runs_of(daemon, "self") == ["succeeded"] * number
    why = " ".join(daemon.run("zdeferd.cli", "why", "self").stdout.split())
    assert "Changed since its last claim: ~/input (" in why


def test_an_input_that_changes_while_the_job_runs_makes_it_due_again(daemon: Daemon) -> None:
    (daemon.home / "input").write_text("one")
    os.mkfifo(daemon.home / "gate")
    daemon.write_jobs(SELF.replace("print -r -- $(( $(<~/input) + 1 )) > ~/input", READ))
    daemon.start()
    with Peer(daemon.socket) as peer:
        for nonce, content in (("n1", "two!"), ("n2", "three"), ("n3", "")):
            assert peer.ask(visit(nonce, 1, {}, {"HOME": str(daemon.home)}))[0] == b"ok"
            if content:
                daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'claimed'", 0)
                gate = os.open(daemon.home / "gate", os.O_WRONLY)  # the job has begun to read it
                (daemon.home / "input").write_text(content)
                os.close(gate)
                daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    gate = os.open(daemon.home / "gate", os.O_WRONLY)
    os.close(gate)
    daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    keys = daemon.rows("SELECT key FROM runs ORDER BY id")
    assert keys == [("change:1",), ("change:2",), ("change:3",)]
    assert (daemon.home / "read").read_text().split() == ["one", "two!", "three"]
