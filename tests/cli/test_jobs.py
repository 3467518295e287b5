"""`zdeferctl jobs`: what files and shells declared."""

from ctl import NOW, User, call, claim, end, job

from zdeferd.model import Outcome, Trigger


def test_none_yet(user: User) -> None:
    result = call("jobs")
    assert result.code == 0
    assert result.out.startswith("no jobs yet")


def test_jobs_of_files_and_shells(user: User) -> None:
    user.job_file('[build]\nrun = ["make"]\non = ["idle"]\ndescription = "all of it"\n')
    ledger = user.ledger()
    ledger.declare_job(job("from-shell"), "shell-1", NOW)
    ledger.declare_job(job("taken"), "shell-1", NOW, "declared in mine.toml, which stands")
    end(ledger, claim(ledger, "build"), Outcome.FAILED, 2)
    lines = call("jobs").out.splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", "build", "from-shell", "taken"]
    assert "failed" in lines[1]
    assert "all of it" in lines[1]
    assert "never" in lines[2]
    assert "which stands" in lines[3]

    build, from_shell, taken = call("jobs", "--json").document["jobs"]
    assert build["run"] == {"argv": ["make"]}
    assert build["on"] == [Trigger.IDLE]
    assert build["last_run"]["rc"] == 2
    assert from_shell["source"] == "shell"
    assert from_shell["declared_at_s"] == NOW
    assert taken["refused"] == "declared in mine.toml, which stands"


def test_variables_of_a_job_are_named_not_shown(user: User) -> None:
    user.job_file('[build]\nrun = "true"\nenv = { TOKEN = "secret" }\n')
    assert "secret" not in call("jobs", "--json").out


def test_a_bad_file_is_pointed_at(user: User) -> None:
    user.job_file('[good]\nrun = "true"\n[bad]\nrum = "true"\n')
    result = call("jobs")
    assert "good" in result.out
    assert "zdeferctl check" in result.out


def test_ids_for_completion(user: User) -> None:
    user.job_file('[build]\nrun = "true"\ndescription = "all of it"\n')
    assert call("jobs", "--ids").out == "build:all of it\n"
