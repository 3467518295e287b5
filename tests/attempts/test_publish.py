"""What becomes of the output that a job declares: with real runners, shells and files."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.spawning import Spawner, Started, wait_gone

from zdeferd.attempts import publish
from zdeferd.jobs.outputs import wanted_output
from zdeferd.judging import judge
from zdeferd.model import Code, Job


@pytest.fixture
def spawner(home: Path) -> Iterator[Spawner]:
    with Spawner(home) as spawner:
        yield spawner


def start(spawner: Spawner, code: str, run: int = 1, output: str = "", **keys: Any) -> Started:
    """A run of a job with an output, `~/made/x` where none is named."""
    output = output or f"{spawner.base}/made/x"
    job = Job(id="j", run=Code(code), output=output, **keys)
    wanted = wanted_output(job, {"HOME": str(spawner.base)})
    return spawner.start(run, script=code, publish=wanted)


def made(spawner: Spawner) -> list[str]:
    """The names in the folder of the output."""
    return sorted(os.listdir(spawner.base / "made"))


def test_the_whole_stdout_becomes_the_file(spawner: Spawner) -> None:
    run = start(spawner, "print -r -- one; print -u2 error; (print two)")
    outcome = run.outcome()
    assert (outcome["rc"], "refusal" in outcome) == (0, False)
    path = spawner.base / "made/x"
    assert path.read_text() == "one\ntwo\n"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o700)
    assert run.output() == b"error\n"
    assert outcome["output_bytes"] == 6
    assert made(spawner) == ["x"]


def test_the_mode_of_the_old_file_is_kept(spawner: Spawner) -> None:
    assert start(spawner, "print 1").outcome()["rc"] == 0
    (spawner.base / "made/x").chmod(0o600)
    assert start(spawner, "print 2", 2).outcome()["rc"] == 0
    assert (spawner.base / "made/x").stat().st_mode & 0o777 == 0o600
    assert (spawner.base / "made/x").read_text() == "2\n"


def test_a_new_file_has_the_umask_of_the_job(spawner: Spawner) -> None:
    assert start(spawner, "print 1", umask="027").outcome()["rc"] == 0
    assert (spawner.base / "made/x").stat().st_mode & 0o777 == 0o640


def test_a_job_that_fails_publishes_nothing(spawner: Spawner) -> None:
    assert start(spawner, "print old").outcome()["rc"] == 0
    outcome = start(spawner, "print new; exit 3", 2).outcome()
    assert (outcome["rc"], "refusal" in outcome) == (3, False)
    assert (spawner.base / "made/x").read_text() == "old\n"
    assert made(spawner) == ["x"]


@pytest.mark.parametrize(
    ("code", "keys", "reason"),
    [
        ("true", {}, "it is empty; `empty = true` allows that"),
        ("print 'if ('", {"check": "zsh"}, "zsh does not accept it: x:"),
        ("print 'if ('", {"compile": True}, "zcompile: "),
        ("head -c 70000000 /dev/zero", {}, "more than 64 MiB"),
    ],
)
def test_a_refused_output_leaves_the_old_file(
    spawner: Spawner, code: str, keys: dict[str, Any], reason: str
) -> None:
    assert start(spawner, "print : old").outcome()["rc"] == 0
    outcome = start(spawner, code, 2, **keys).outcome()
    assert outcome["rc"] == publish.REFUSED == 65
    assert outcome["refusal"].startswith(reason)
    assert (spawner.base / "made/x").read_text() == ": old\n"
    assert made(spawner) == ["x"]


def test_an_empty_output_is_published_where_it_may_be(spawner: Spawner) -> None:
    assert start(spawner, "true", empty=True).outcome()["rc"] == 0
    assert (spawner.base / "made/x").read_bytes() == b""


def sourced(path: Path) -> str:
    """What a shell prints that sources `path`."""
    call = ["zsh", "-fc", 'source "$1"', "zsh", str(path)]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=200).stdout


def test_the_compiled_file_is_of_the_same_version(spawner: Spawner) -> None:
    path = spawner.base / "made/x.zsh"
    for number in (1, 2, 3):  # three versions in one second
        run = start(spawner, f"print print {number}", number, str(path), compile=True, check="zsh")
        assert run.outcome()["rc"] == 0
        assert made(spawner) == ["x.zsh", "x.zsh.zwc"]
        assert sourced(path) == f"{number}\n"
        assert path.stat().st_mtime_ns == path.with_suffix(".zsh.zwc").stat().st_mtime_ns
        source = path.read_text()
        path.write_text("print not compiled\n")
        os.utime(path, (1, 1))  # so that zsh takes the compiled one
        assert sourced(path) == f"{number}\n"
        path.write_text(source)
    assert start(spawner, "print print 4", 4, str(path)).outcome()["rc"] == 0
    assert made(spawner) == ["x.zsh"], "a compiled one of another version does not stay"


def test_an_older_output_never_replaces_a_newer_one(spawner: Spawner) -> None:
    gate = spawner.telephone()
    older = start(spawner, f"print older; read line < {gate}").wait_started()
    assert start(spawner, "print newer", 2).outcome()["rc"] == 0
    with gate.path.open("w") as opened:
        opened.write("go\n")
    outcome = older.outcome()
    assert (outcome["rc"], outcome["refusal"]) == (
        65,
        "a run that began later has published its output",
    )
    assert (spawner.base / "made/x").read_text() == "newer\n"
    assert start(spawner, "print newest", 3).outcome()["rc"] == 0
    assert (spawner.base / "made/x").read_text() == "newest\n"


def test_what_a_dead_runner_left_is_removed_by_the_next(spawner: Spawner) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    run = start(spawner, f"print part; echo $$ >> {phone}; read line < {gate}")
    job = phone.pidfd()
    os.kill(run.answer["pid"], 9)
    run.wait_gone()
    assert len(made(spawner)) == 1
    assert not (spawner.base / "made/x").exists()
    with gate.path.open("w") as opened:
        opened.write("go\n")
    wait_gone(job)
    assert start(spawner, "print whole", 2).outcome()["rc"] == 0
    assert made(spawner) == ["x"]


def test_a_file_that_another_runner_has_just_removed_refuses_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another runner of the same place ends between our look at the folder and our open."""
    wanted = wanted_output(Job(id="j", run=Code(""), output=f"{home}/made/x"), {"HOME": str(home)})
    assert wanted is not None
    (home / "runs/1").mkdir(parents=True)
    folder = str(home / "runs/1")
    request: Any = {"folder": folder, "attempt": 1, "env": dict(os.environ), "publish": wanted}
    looked = os.listdir
    gone = f".zdeferd-{wanted['key']}-2.1"
    monkeypatch.setattr(os, "listdir", lambda at: [*looked(at), gone])
    publication = publish.Publication(request, request["publish"])
    os.close(publication.pipe)
    os.close(publication.writing)
    assert [name for name in os.listdir(home / "made") if name != gone] == [
        f".zdeferd-{wanted['key']}-1.1"
    ]
    assert publication.end(succeeded=False) == {}


def test_a_cancelled_job_publishes_nothing(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = start(spawner, f"print part; read line < {gate}").wait_started()
    judge.cancel(run.folder)
    assert run.outcome()["ended_by"] == "cancel"
    assert made(spawner) == []


def places(home: Path) -> dict[str, str]:
    """Places where nothing may be published, and why."""
    (home / "out").symlink_to("/tmp")
    (home / "open").mkdir()
    (home / "open").chmod(0o777)
    (home / "folder").mkdir()
    os.mkfifo(home / "fifo")
    (home / "link").symlink_to("elsewhere")
    return {
        "/tmp/zdeferd-not-here": "not in your home folder",
        f"{home}/out/x": "it leads out of your home folder",
        f"{home}/open/x": "another user can change this folder",
        f"{home}/folder": "not a regular file of yours",
        f"{home}/fifo": "not a regular file of yours",
        f"{home}/link": "not a regular file of yours",
        f"{home}/fifo/x": "cannot open its folder",
        "$NOWHERE/x": "not in your home folder",
    }


def test_a_place_that_is_not_the_users_alone_starts_nothing(spawner: Spawner) -> None:
    for number, (path, reason) in enumerate(places(spawner.base).items(), 1):
        outcome = start(spawner, "touch ~/began", number, path).outcome()
        assert outcome["rc"] == 65
        assert outcome["refusal"].startswith(reason), path
    assert not (spawner.base / "began").exists()


def test_a_variable_of_the_shell_is_expanded() -> None:
    job = Job(id="j", run=Code(":"), output="$XDG_CACHE_HOME/${NAME}/x", env={"NAME": "n"})
    wanted = wanted_output(job, {"HOME": "/h", "XDG_CACHE_HOME": "/h/cache"})
    assert wanted is not None
    assert wanted["path"] == "/h/cache/n/x"


VERSIONS = 10


def test_a_reader_finds_one_version_whole(spawner: Spawner) -> None:
    path = spawner.base / "made/x"
    assert start(spawner, "repeat 20000 print 0").outcome()["rc"] == 0
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            lines = path.read_text().splitlines()
            if len(lines) != 20_000 or len(set(lines)) != 1:
                torn.append(json.dumps(sorted(set(lines))))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(2, VERSIONS):
            code = f"repeat 20000 print {number}"
            assert start(spawner, code, number).outcome()["rc"] == 0
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []
