"""`zdeferctl perf compare`: the verdict, folders and revisions, with real shells."""

import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.user import Result, User, call

from zdeferd.perf.starts.compare import judge, revisions

needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
KEYS = "a b diff_ms low high verdict enough"


def group(centre: float, spread: float, seed: int, count: int = 20) -> list[float]:
    dice = random.Random(seed)
    return [dice.gauss(centre, spread) for _ in range(count)]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (group(100, 2, 1), group(110, 2, 2), "slower"),
        (group(110, 2, 1), group(100, 2, 2), "faster"),
        (group(100, 1, 1), group(101, 1, 2), "same"),
        (group(100, 30, 1), group(103, 30, 2), "unsure"),
        ([100.0] * 5, [100.0] * 5, "same"),
        ([100.0] * 5, [106.0] * 5, "slower"),
    ],
)
def test_verdicts(a: list[float], b: list[float], verdict: str) -> None:
    found = judge(a, b)
    assert found.verdict == verdict
    assert found.low <= found.diff <= found.high


def test_the_same_twice_is_seldom_told_apart() -> None:
    verdicts = [judge(group(100, 8, at), group(100, 8, 500 + at)).verdict for at in range(50)]
    assert sum(verdict in ("same", "unsure") for verdict in verdicts) >= 45


def test_ten_percent_is_found_in_noise() -> None:
    verdicts = [judge(group(100, 8, at), group(110, 8, 900 + at)).verdict for at in range(50)]
    assert verdicts.count("slower") >= 40


def test_enough_grows_with_the_noise() -> None:
    quiet = judge(group(100, 2, 1), group(103, 2, 2)).enough
    noisy = judge(group(100, 20, 1), group(103, 20, 2)).enough
    assert 2 <= quiet < noisy


# --- with shells ---------------------------------------------------------------


def folder(user: User, name: str, wait_cs: int = 0) -> str:
    """A configuration that takes so many hundredths of a second."""
    made = user.root / name
    made.mkdir()
    waits = f"zmodload zsh/zselect; zselect -t {wait_cs}\n" if wait_cs else ""
    (made / ".zshrc").write_text(f"{waits}PROMPT='{name}> '\n")
    return str(made)


def compare(*words: str) -> Result:
    return call("perf", "compare", *words)


@needs_zsh
def test_two_folders(user: User) -> None:
    a, b = folder(user, "a", 10), folder(user, "b", 30)
    made = compare(a, b, "-n", "4", "--json")
    assert made.code == 0
    assert " ".join(made.document) == KEYS
    assert made.document["verdict"] == "slower"
    assert made.document["diff_ms"] == pytest.approx(200, abs=90)
    assert len(made.document["a"]["values"]) == 4
    failed = compare(a, b, "-n", "4", "--fail-on", "slower")
    assert failed.code == 1
    assert "B is slower: first_prompt_lag_ms +" in failed.out
    assert compare(b, a, "-n", "4", "--fail-on", "slower").code == 0


@needs_zsh
def test_another_metric(user: User) -> None:
    a, b = folder(user, "a", 10), folder(user, "b", 30)
    for name, ms in (("a", 5), ("b", 9)):
        (user.root / name / ".zshrc").write_text(
            f"print SEGMENT name=x ms={ms} phase=core sample=cold >>$PERF_SEGMENT_LOG\n"
        )
    made = compare(a, b, "-n", "2", "--metric", "x_ms", "--json").document
    assert (made["diff_ms"], made["verdict"]) == (4, "slower")


@needs_zsh
def test_a_side_without_a_prompt_is_named(user: User) -> None:
    a, b = folder(user, "a"), folder(user, "b")
    (Path(b) / ".zshrc").write_text("exit\n")
    result = compare(a, b, "-n", "2", "--retries", "0")
    assert result.code == 1
    assert f"no authentic sample: {b}: no prompt came" in result.err
    missing = compare(a, a, "-n", "2", "--metric", "absent", "--retries", "0")
    assert "it has no absent_ms" in missing.err


def git(where: Path, *words: str) -> str:
    own = ("-c", "user.name=u", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *own, *words], cwd=where, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@needs_zsh
@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_two_commits(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = user.root / "dots"
    (repository / "zsh").mkdir(parents=True)
    git(repository, "init", "-q", ".")
    for waits in ("", "zmodload zsh/zselect; zselect -t 20"):
        (repository / "zsh/.zshrc").write_text(f"{waits}\nPROMPT='x> '\n")
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", "x")
    before = sorted(repository.rglob("*"))
    monkeypatch.chdir(repository / "zsh")
    made = compare("HEAD~1..HEAD", "-n", "3", "--json").document
    assert (made["a"]["name"], made["b"]["name"]) == ("HEAD~1", "HEAD")
    assert made["verdict"] == "slower"
    assert sorted(repository.rglob("*")) == before
    assert git(repository, "status", "--porcelain") == ""
    assert "no such revision" in compare("nothing..HEAD").err


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
@pytest.mark.parametrize("filters", [True, False])
def test_a_commit_is_unpacked_with_links_also_by_a_python_without_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    repository = tmp_path / "dots"
    repository.mkdir()
    (repository / ".zshrc").symlink_to("/etc/zshrc")
    git(repository, "init", "-q", ".")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "x")
    if not filters:  # as in Python 3.11.2
        monkeypatch.delattr(tarfile, "tar_filter", raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extractall", extractall_without_filter)
    monkeypatch.chdir(repository)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for side in revisions("HEAD..HEAD", str(folder)):
        assert (Path(side.zdotdir) / ".zshrc").readlink() == Path("/etc/zshrc")


def extractall_without_filter(archive: tarfile.TarFile, path: str = ".") -> None:
    for member in archive.getmembers():
        archive.extract(member, path)


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "words",
    [(), ("/nowhere/at-all",), ("/tmp", "/nowhere/at-all"), ("/tmp", "/tmp", "-n", "1"),
     ("/tmp", "/tmp", "--fail-on", "faster"), ("--output=/tmp/x..y",)],
)  # fmt: skip
def test_usage(words: tuple[str, ...]) -> None:
    assert compare(*words).code == 1
