"""Which processes a vanished runner's job left, and which are never touched."""

import json
import os
import signal
import sys
from pathlib import Path

from support.spawning import Spawner, until, wait_gone

from zdeferd.judging import leftovers
from zdeferd.processes import tree
from zdeferd.rules.verdicts import Vanished


def test_leftovers_are_found_by_session_where_they_gave_up_the_lock(spawner: Spawner) -> None:
    phone = spawner.telephone()
    shut = f"import os; os.closerange(3, 1024); os.system('exec sleep 1000 # {phone}')"
    script = f"echo $$ >> {phone}; exec {sys.executable} -I -S -c {json.dumps(shut)}"
    run = spawner.start(script=script).wait_started()
    leader = phone.pidfd()
    until(lambda: "job_pid" in run.marks())
    until(lambda: not tree.has_open(run.marks()["job_pid"], job_lock(run.folder)))
    os.kill(run.answer["pid"], signal.SIGKILL)
    assert run.verdict() == Vanished()
    assert leftovers.end(run.folder, 5.0)
    wait_gone(leader)


def job_lock(folder: str) -> os.stat_result:
    return os.stat(f"{folder}/job.lock")


def test_a_later_process_under_the_leaders_number_is_left_alone(folder: Path) -> None:
    bystander = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ, setsid=True)
    mark = {"pid": 1, "job_pid": bystander, "job_started": 1}
    (folder / "started.1").write_text(json.dumps(mark) + "\n")
    (folder / "job.lock").touch()
    assert leftovers.end(str(folder), 5.0)
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)


def test_a_process_that_looks_at_the_lock_is_left_alone(spawner: Spawner) -> None:
    """`tail -f` of a file in the run's folder, in a terminal with other programs."""
    phone = spawner.telephone()
    run = spawner.start(script=f"echo $$ >> {phone}; sleep 1000").wait_started()
    leader = phone.pidfd()
    session = "sleep 1000 & exec tail -f $0"
    words = ["sh", "-c", session, f"{run.folder}/job.lock"]
    bystander = os.posix_spawnp("sh", words, os.environ, setsid=True)
    until(lambda: tree.has_open(bystander, job_lock(run.folder)))
    until(lambda: len(tree.session_of(bystander)) == 2)
    os.kill(run.answer["pid"], signal.SIGKILL)
    assert run.verdict() == Vanished()
    assert leftovers.end(run.folder, 5.0)
    wait_gone(leader)
    assert len(tree.session_of(bystander)) == 2
    for process in tree.session_of(bystander):
        os.kill(process.pid, signal.SIGKILL)
    os.waitpid(bystander, 0)


def test_without_a_job_there_are_no_leftovers(folder: Path) -> None:
    assert leftovers.end(str(folder), 5.0)
    assert leftovers.end(str(folder / "gone"), 5.0)
