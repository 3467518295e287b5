"""Where jobs publish, and the folders of caches: what doctor says of them."""

from pathlib import Path

import pytest
from support.user import NOW, User, call, findings, job


def test_a_place_outside_the_home_is_said_once_for_all_jobs(user: User, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made = job(f"eval-{name}", output=f"{tmp_path}/zdeferd/init/{name}.zsh", check="init")
        user.ledger().declare_job(made, "shell-1", NOW)
    user.ledger().declare_job(job("fine", output=f"{user.root}/made"), "shell-1", NOW)
    warned = findings("warn")["outputs"]
    place = f"{tmp_path}: a place outside your home folder"
    assert warned["found"] == f"2 jobs (eval-a, eval-b) can publish nothing: {place}"
    assert warned["remedy"] == "set XDG_CACHE_HOME to a folder of yours below it, or unset it"


@pytest.mark.parametrize("folder", ["open", "linked"])
def test_a_place_of_no_cache(user: User, tmp_path: Path, folder: str) -> None:
    (user.root / "open").mkdir()
    (user.root / "open").chmod(0o777)
    (user.root / "linked").symlink_to(tmp_path)
    path = f"{user.root}/{folder}/made"
    user.ledger().declare_job(job("made", output=path), "shell-1", NOW)
    warned = findings("warn")["outputs"]
    assert warned["found"].startswith(f"1 job (made) can publish nothing: {path}: a ")
    assert warned["remedy"] == "name a file of yours below your home folder"


def test_a_folder_that_shells_do_not_read(user: User) -> None:
    assert "outputs" not in findings("warn")
    folder = user.root / ".cache/zdeferd/init"
    folder.mkdir(parents=True, mode=0o700)
    assert "outputs" not in findings("warn")
    folder.chmod(0o770)
    warned = findings("warn")["outputs"]
    assert warned["found"].endswith(f"{folder}: it can be changed by others: mode 770")
    assert f"chmod go-w {folder}" in warned["remedy"]
    folder.rmdir()
    folder.symlink_to(user.root)
    assert "a link" in findings("warn")["outputs"]["found"]
    assert "chmod go-w ~/.cache/zdeferd/init" in " ".join(call("doctor").out.split())


def test_two_jobs_of_one_output_that_two_visits_declared(user: User) -> None:
    for name in ("a", "b"):
        user.ledger().declare_job(job(name, output=f"{user.root}/made"), f"shell-{name}", NOW)
    warned = findings("warn")["outputs"]
    assert warned["found"] == f"2 jobs (a, b) publish the same file: {user.root}/made"
    assert "`zdeferctl forget JOB`" in warned["remedy"]
