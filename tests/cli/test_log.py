"""`zdeferctl log`: the output as it is, and as it grows."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.daemon import Daemon, attempts
from support.terminal import Terminal
from support.user import SOURCE, User, call, claim, ctl_script, end


def with_output(user: User, text: bytes) -> int:
    ledger = user.ledger()
    run = claim(ledger, "build")
    end(ledger, run)
    folder = user.state / "runs" / str(run)
    folder.mkdir(parents=True)
    (folder / "output").write_bytes(text)
    return run


def test_byte_for_byte(user: User) -> None:
    run = with_output(user, b"one\n\xff\x00two")
    for target in (str(run), "build"):
        done = subprocess.run(
            [sys.executable, "-m", "zdeferd.cli", "log", target],
            env=user.env | {"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            check=True,
            timeout=200,
        )
        assert done.stdout == b"one\n\xff\x00two"


def test_json(user: User) -> None:
    run = with_output(user, b"one\n\xff")
    document = call("log", "build", "--json").document
    assert document["run"] == run
    assert document["output"] == "one\n�"
    assert document["output_bytes"] == 12


def test_a_run_without_output(user: User) -> None:
    run = claim(user.ledger(), "build")
    assert call("log", str(run)).code == 0


def test_unknown_targets(user: User) -> None:
    user.ledger()
    assert "no such run: 7" in call("log", "7").err
    assert "no such job: build" in call("log", "build").err
    assert call("log", "Not_An_Id").code == 2
    assert call("log", "build", "-f", "--json").code == 2
    assert "--raw and --json; leave one out" in call("log", "build", "--raw", "--json").err


def test_following_to_the_end(user: User, daemon: Daemon) -> None:
    fifo = user.root / "go"
    os.mkfifo(fifo)
    daemon.write_jobs(f'[slow]\nrun = "print one; read <{fifo}; print two"\n')
    daemon.start()
    call("run", "slow", "--no-wait")
    following = user.begin("log", "slow", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    fifo.write_text("on\n")
    assert following.communicate(timeout=200)[0] == "two\n"
    assert following.returncode == 0


def test_following_a_run_that_never_starts(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[slow]\nrun = ["sleep", "600"]\n[next]\nrun = "true"\n')
    daemon.start()
    call("run", "slow", "--no-wait")
    call("run", "next", "--no-wait")
    following = subprocess.Popen(
        [sys.executable, "-m", "zdeferd.cli", "log", "2", "-f"],
        env=user.env | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
    )
    assert call("cancel", "2").code == 0
    assert following.communicate(timeout=200)[0] == b""
    assert following.returncode == 0
    call("cancel", "1")


def test_a_jobs_log_is_that_of_a_run_that_has_started(user: User) -> None:
    run = with_output(user, b"one\n")
    assert claim(user.ledger(), "build", "boot:b") == run + 1
    assert call("log", "build", "--json").document["run"] == run
    user.job_file('[fresh]\nrun = "true"\n')
    assert "job has not run yet: fresh" in call("log", "fresh").err


def test_following_a_run_that_waits_says_so(user: User) -> None:
    claim(user.ledger(), "build")
    with Terminal(user.root, f"PATH={ctl_script(user).parent}:$PATH\n") as shell:
        shell.prompt()
        shell.type("zdeferctl log -f build\r")
        shell.expect(r"run 1 of build waits; `zdeferctl why build` says for what")


def test_output_that_was_removed_is_said(user: User) -> None:
    run = with_output(user, b"one")
    (user.state / f"runs/{run}/output").unlink()
    with Terminal(user.root, f"PATH={ctl_script(user).parent}:$PATH\n") as shell:
        shell.prompt()
        shell.type("zdeferctl log build\r")
        shell.expect(f"run {run} wrote output that is not there any more")


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_output_is_not_read(user: User, put: Callable[[Path], None]) -> None:
    run = claim(user.ledger(), "build")
    folder = user.state / f"runs/{run}"
    folder.mkdir(parents=True)
    put(folder / "output")
    result = call("log", str(run))
    assert result.out == ""
    assert result.code == (1 if (folder / "output").is_symlink() else 0)


def test_following_without_a_daemon(user: User) -> None:
    run = claim(user.ledger(), "build")
    result = call("log", str(run), "-f")
    assert result.code == 1
    assert "run waits and no daemon runs" in result.err


def three_runs(user: User) -> list[int]:
    """Three runs of `build`: one that ended, a newer one, and one that waits."""
    ledger = user.ledger()
    runs = [claim(ledger, "build", key) for key in ("a", "b", "c")]
    for run in runs[:2]:
        end(ledger, run)
        folder = user.state / f"runs/{run}"
        folder.mkdir(parents=True)
        (folder / "output").write_text(f"one {run}\ntwo {run}\n")
    return runs


def test_the_last_lines(user: User) -> None:
    text = b"".join(b"%d %s\n" % (n, b"x" * 99) for n in range(2000))  # several blocks
    run = with_output(user, text + b"\nlast")
    lines = (text + b"\nlast").decode().splitlines(keepends=True)
    for number in (0, 1, 2, 3, 700, 2001, 2002, 5000):
        expected = "".join(lines[-number:]) if number else ""
        assert call("log", str(run), "-n", str(number)).out == expected
    assert call("log", "build", "--lines", "2", "--json").document["output"] == "\nlast"
    assert call("log", "build", "-n", "x").err.startswith("zdeferctl: argument -n/--lines: ")


def test_lines_of_an_output_that_is_empty(user: User) -> None:
    assert call("log", str(with_output(user, b"")), "-n", "3").out == ""
    (user.state / "runs/1/output").write_bytes(b"\n\n")
    assert call("log", "1", "-n", "1").out == "\n"


def test_all_outputs_since(user: User) -> None:
    one, two, _ = three_runs(user)
    heads = [f"==> run {run} of build, 2023-11-14 22:13, succeeded <==\n" for run in (one, two)]
    shown = call("log", "build", "--since", "2023-11-14", "-n", "1").out
    assert shown == f"{heads[0]}two {one}\n\n{heads[1]}two {two}\n"
    runs = call("log", "build", "--since", "2023-11-14", "--json").document["runs"]
    assert [run["output"] for run in runs] == [f"one {run}\ntwo {run}\n" for run in (one, two)]
    assert call("log", "build", "--since", "today") == (0, "", "")
    assert "no such job: biuld; did you mean build?" in call("log", "biuld", "--since", "1h").err


def test_since_does_not_go_with_a_run_or_following(user: User) -> None:
    three_runs(user)
    beside = call("log", "1", "--since", "1h")
    assert (beside.code, beside.err) == (2, "zdeferctl: --since: not for one run: 1; name a job\n")
    assert "-f and --since; leave one out" in call("log", "build", "-f", "--since", "1h").err


def test_following_from_the_last_lines(user: User, daemon: Daemon) -> None:
    fifo = user.root / "go"
    os.mkfifo(fifo)
    daemon.write_jobs(f"[slow]\nrun = 'print -l one two; read <{fifo}; print three'\n")
    daemon.start()
    call("run", "slow", "--no-wait")
    output = user.state / "runs/1/output"
    assert any(output.exists() and output.read_text() == "one\ntwo\n" for _ in attempts())
    following = user.begin("log", "slow", "-f", "-n", "1")
    assert following.stdout is not None
    assert following.stdout.readline() == "two\n"
    fifo.write_text("on\n")
    assert following.communicate(timeout=200)[0] == "three\n"
