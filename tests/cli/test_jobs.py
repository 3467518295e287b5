"""`zdeferctl jobs`: what files and shells declared."""

from support.terminal import Terminal
from support.user import NOW, User, call, claim, ctl_script, end, job

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
    heads = [line.split()[0] for line in lines if line]
    assert heads == ["JOB", "build", "from-shell", "taken", "!"]
    assert "failed" in lines[1]
    assert "all of it" in lines[1]
    assert "never" in lines[2]
    assert "refused" in lines[3]
    assert lines[5] == "! taken is refused: declared in mine.toml, which stands"

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
    assert "bad   refused               mine" in result.out
    assert "! 2 problems in job files; zdeferctl check" in result.out
    bad = call("jobs", "--json").document["jobs"][1]
    assert bad["job"] == "bad"
    assert bad["source"].endswith("mine.toml")
    assert "mine.toml:3: bad.run" in bad["refused"]


def test_a_shells_job_of_the_same_id_is_told(user: User) -> None:
    user.job_file('[build]\nrun = "true"\n')
    user.ledger().declare_job(job("build"), "shell-1", NOW, "declared in a file, which stands")
    assert "! build of a shell is refused: declared in a file" in call("jobs").out


def test_it_fits_into_80_columns(user: User) -> None:
    text = '[{}]\nrun = "true"\non = ["postprompt", "idle"]\ndescription = "{}"\n'
    user.job_file(text.format("rebuild-completions", "words " * 20), "completions.toml")
    with Terminal(user.root, f"PATH={ctl_script(user).parent}:$PATH; stty cols 80\n") as shell:
        shell.prompt()
        shell.type("zdeferctl jobs\r")
        shell.expect(r"ONCE PER  FROM         LAST RUN\n")
        shell.expect(r"rebuild-completions  +postprompt, idle +shell +completions +\S*never\n")
        shell.type("stty cols 100; zdeferctl jobs\r")
        shell.expect(r"never  +words words words words wo?r?d?s?…\n")


def test_ids_for_completion(user: User) -> None:
    user.job_file('[build]\nrun = "true"\ndescription = "all of it"\n')
    user.job_file('[plain]\nrun = "true"\n', "plain.toml")
    assert call("jobs", "--ids").out == "build:all of it\nplain\n"
