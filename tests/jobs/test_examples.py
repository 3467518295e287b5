"""The example jobs: each loads, runs for real in a private home, and can be run again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from zdeferd.install.share import share
from zdeferd.jobs import files
from zdeferd.machine import paths
from zdeferd.model import Code, Job, Scope

EXAMPLES = Path(share("examples", "jobs.d"))
NAMES = sorted(path.stem for path in EXAMPLES.iterdir())


def load(home: Path) -> files.Loaded:
    folder = home / ".config/zdeferd/jobs.d"
    folder.mkdir(parents=True, mode=0o700)
    for file in EXAMPLES.iterdir():
        (folder / file.name).write_text(file.read_text())
        (folder / file.name).chmod(0o600)
    return files.load(paths.locate({"HOME": str(home)}))


def furnish(home: Path) -> None:
    """What the jobs work on."""
    (home / ".zsh_history").write_text(": 1767225600:0;ls\n")
    (home / ".zsh/plugins/hello").mkdir(parents=True)
    (home / ".zsh/plugins/hello/hello.plugin.zsh").write_text("print -r -- hello\n")
    (home / ".dotfiles").mkdir()
    (home / ".dotfiles/zshrc").write_text("source ~/.zshrc\n")
    (home / "bin").mkdir()
    (home / "bin/apt-get").write_text("#!/bin/sh\necho Inst zsh\necho Conf zsh\necho Inst git\n")
    (home / "bin/apt-get").chmod(0o700)
    git = ["git", "-C", str(home / ".dotfiles"), "-c", "user.name=n", "-c", "user.email=n@n"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "dotfiles"]):
        subprocess.run([*git, *words], check=True, env=environment(home))


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}"}


def run(job: Job, home: Path) -> str:
    """Run the job's zsh code as zdeferd would; what it printed."""
    assert isinstance(job.run, Code)
    script = home / "script"
    script.write_text(job.run.source)
    done = subprocess.run(
        ["zsh", "-f", script],
        env=environment(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    script.unlink()
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_all_load_without_a_problem(home: Path) -> None:
    loaded = load(home)
    assert loaded.problems == ()
    assert sorted(loaded.jobs) == NAMES
    assert len(NAMES) == 6
    assert all(job.description and job.timeout_s for job in loaded.jobs.values())


@pytest.mark.parametrize("name", NAMES)
def test_runs_for_real_and_again(name: str, home: Path) -> None:
    job = load(home).jobs[name]
    furnish(home)
    run(job, home)
    assert run(job, home)
    assert leftovers(home) == []


def test_updates_are_counted_into_a_file(home: Path) -> None:
    furnish(home)
    assert run(load(home).jobs["updates-waiting"], home) == "updates: 2\n"
    assert (home / ".cache/zsh/updates").read_text() == "2\n"


def leftovers(home: Path) -> list[Path]:
    """Files that were made to be renamed and were not."""
    return [p for p in home.rglob("*") if ".new" in p.name and ".git" not in p.parts]


def test_the_dump_serves_a_shell_without_being_read_as_text(home: Path) -> None:
    run(load(home).jobs["completion-dump"], home)
    dump = home / ".cache/zsh/zcompdump"
    assert dump.with_name("zcompdump.zwc").stat().st_mtime >= dump.stat().st_mtime
    shell = f"autoload -Uz compinit && compinit -C -d {dump}; print $#_comps $_comps[git]"
    done = subprocess.run(
        ["zsh", "-fc", shell], env=environment(home), capture_output=True, text=True, check=True
    )
    count, git = done.stdout.split()
    assert int(count) > 500
    assert git == "_git"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("prints", "status", "says"),
    [
        ("echo '#compdef docker'; echo half of it; exit 3", 1, "no completion from: docker comp"),
        ("echo usage of docker", 1, "no completion from: docker completion zsh"),
        ("echo 'compctl -K _docker docker'", 0, "skipped, old-style completion: docker"),
    ],
)
def test_a_tool_without_a_completion_keeps_the_one_it_had(
    prints: str, status: int, says: str, home: Path
) -> None:
    """What Debian 12's pip prints is completion of the old style."""
    job = load(home).jobs["tool-completions"]
    folder = home / ".cache/zsh/completions"
    folder.mkdir(parents=True)
    (folder / "_docker").write_text("#compdef docker\n")
    (home / "docker").write_text(f"#!/bin/sh\n{prints}\n")
    (home / "docker").chmod(0o700)
    for tool in ("mkdir", "cmp", "mv", "rm"):
        (home / tool).symlink_to(shutil.which(tool) or "/")
    assert isinstance(job.run, Code)
    done = subprocess.run(
        [shutil.which("zsh") or "zsh", "-fc", job.run.source],
        env={"HOME": str(home), "PATH": str(home)},  # no other tool
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (status, "")
    assert says in done.stdout
    assert (folder / "_docker").read_text() == "#compdef docker\n"


def test_a_history_that_shrank_costs_no_old_copy(home: Path) -> None:
    job = load(home).jobs["history-backup"]
    copies = home / ".local/share/zsh/history"
    copies.mkdir(parents=True)
    for day in range(1, 32):
        (copies / f"2025-01-{day:02}").write_text("x" * 100)
    (home / ".zsh_history").write_text("x")
    assert "shrunk" in run(job, home)
    assert len(list(copies.iterdir())) == 32
    (home / ".zsh_history").write_text("x" * 100)
    assert run(job, home) == "copies: 30\n"
    assert not (copies / "2025-01-01").exists()


@pytest.mark.parametrize("name", [".zhistory", ".histfile", ".local/share/zsh/history"])
def test_a_history_may_be_elsewhere(name: str, home: Path) -> None:
    job = load(home).jobs["history-backup"]
    (home / ".zsh_history").write_text("old")
    os.utime(home / ".zsh_history", ns=(1, 1))
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text("newer")
    assert run(job, home) == "copies: 1\n"
    folder = "history.copies" if name.endswith("/history") else "history"
    [copy] = (home / ".local/share/zsh" / folder).iterdir()
    assert copy.read_text() == "newer"


def test_the_job_in_the_readme_loads(home: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    folder = home / ".config/zdeferd/jobs.d"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "notes.toml").write_text(readme.split("```toml\n")[1].split("```")[0])
    (folder / "notes.toml").chmod(0o600)
    loaded = files.load(paths.locate({"HOME": str(home)}))
    assert (list(loaded.jobs), loaded.problems) == (["notes-gc"], ())
    assert "zdefer add notes-gc" not in readme  # a file's job beats a shell's of the same id


def test_only_the_idle_job_waits_for_idle(home: Path) -> None:
    loaded = load(home).jobs
    assert [name for name, job in loaded.items() if job.on == ("idle",)] == ["dotfiles-maintenance"]
    assert {job.once_per for job in loaded.values()} == {Scope.CHANGE, Scope.DAY}
