"""`zdeferctl perf compare`: the verdict, folders and revisions, with real shells."""

import random
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from support.user import Result, User, call

from zdeferd.errors import ZdeferdError
from zdeferd.machine.paths import locate
from zdeferd.perf.starts.capture import Plan
from zdeferd.perf.starts.capture import capture as started
from zdeferd.perf.starts.compare import Measurement, judge
from zdeferd.perf.starts.lags import Shell
from zdeferd.perf.starts.revisions import Side, revisions

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


@needs_zsh
def test_the_daemon_of_another_session_is_waited_for(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pointer leads to its socket, as it leads the shells that are measured."""
    elsewhere = user.root / "sock"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(elsewhere))
    pointer = Path(locate(user.env).pointer)
    pointer.write_text(f"{elsewhere}\n")
    seen: list[str] = []

    def sampled(_shell: Shell, at: str) -> dict[str, float]:
        seen.append(at)
        return {"exit_time": 1.0}

    monkeypatch.setattr("zdeferd.perf.starts.compare.sample", sampled)
    monkeypatch.setattr("zdeferd.perf.starts.capture.sample", sampled)
    plan = Plan(1, 0.0, "", 10.0, 0, False)
    Measurement("exit_time", plan, user.env, "/none").value(Side("a", ""))
    started(plan, user.env, lambda _: None)
    assert seen == [str(elsewhere)] * 2


# --- with shells ---------------------------------------------------------------


def folder(user: User, name: str, wait_cs: int = 0) -> str:
    """A configuration that takes so many hundredths of a second, and reports them as `x`."""
    made = user.root / name
    made.mkdir()
    waits = f"zmodload zsh/zselect; zselect -t {wait_cs}\n" if wait_cs else ""
    told = f"SEGMENT name=x ms={wait_cs} phase=core sample=cold"
    (made / ".zshrc").write_text(f"{waits}print {told} >>$PERF_SEGMENT_LOG\nPROMPT='{name}> '\n")
    return str(made)


def compare(*words: str) -> Result:
    return call("perf", "compare", *words)


@needs_zsh
def test_two_folders(user: User) -> None:
    a, b = folder(user, "a"), folder(user, "b", 200)  # no load makes up for that
    made = compare(a, b, "-n", "3", "--json")
    assert made.code == 0
    assert " ".join(made.document) == KEYS
    assert made.document["verdict"] == "slower"
    assert made.document["diff_ms"] > 1000
    assert len(made.document["a"]["values"]) == 3
    told = ("-n", "2", "--metric", "x_ms", "--fail-on", "slower")
    failed = compare(a, b, *told)
    assert failed.code == 1
    assert "B is slower: x_ms +" in failed.out
    assert compare(b, a, *told).code == 0


@needs_zsh
def test_another_metric(user: User) -> None:
    a, b = folder(user, "a", 5), folder(user, "b", 9)
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
    for waits in ("", "zmodload zsh/zselect; zselect -t 200"):
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


@pytest.fixture
def dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a .zshrc that is a link, in which this process stands."""
    if not shutil.which("git"):
        pytest.skip("no git here")
    repository = tmp_path / "dots"
    repository.mkdir()
    (repository / ".zshrc").symlink_to("/etc/zshrc")
    git(repository, "init", "-q", ".")
    commit(repository)
    monkeypatch.chdir(repository)
    return repository


def commit(repository: Path) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "x")


def unpacked(tmp_path: Path, text: str = "HEAD..HEAD") -> list[Path]:
    """The folders of both sides."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return [Path(side.zdotdir) for side in revisions(text, str(folder))]


@pytest.mark.usefixtures("dots")
def test_a_commit_is_unpacked_with_links(tmp_path: Path) -> None:
    for side in unpacked(tmp_path):
        assert (side / ".zshrc").readlink() == Path("/etc/zshrc")


def test_what_no_archive_has_is_unpacked_too(tmp_path: Path, dots: Path) -> None:
    (dots / ".gitattributes").write_text("lib.zsh export-ignore\n")
    (dots / "lib.zsh").write_text("one\n")
    commit(dots)
    (dots / "lib.zsh").write_text("two\n")
    commit(dots)
    sides = unpacked(tmp_path, "HEAD~..HEAD")
    assert [(side / "lib.zsh").read_text() for side in sides] == ["one\n", "two\n"]


def with_submodule(tmp_path: Path, dots: Path) -> None:
    """Commit a submodule `plug`, and then a newer commit of it."""
    other = tmp_path / "plug"
    other.mkdir()
    git(other, "init", "-q", ".")
    for text in ("one\n", "two\n"):
        (other / "plug.zsh").write_text(text)
        commit(other)
    git(dots, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "plug")
    git(dots / "plug", "checkout", "-q", "HEAD~")
    commit(dots)
    git(dots / "plug", "checkout", "-q", "-")
    commit(dots)


def test_submodules_are_unpacked_too(tmp_path: Path, dots: Path) -> None:
    with_submodule(tmp_path, dots)
    sides = unpacked(tmp_path, "HEAD~..HEAD")
    assert [(side / "plug/plug.zsh").read_text() for side in sides] == ["one\n", "two\n"]


def test_a_submodule_that_was_removed_since(tmp_path: Path, dots: Path) -> None:
    with_submodule(tmp_path, dots)
    git(dots, "rm", "-q", "plug")
    commit(dots)
    sides = unpacked(tmp_path, "HEAD~..HEAD")
    assert [(side / "plug/plug.zsh").exists() for side in sides] == [True, False]


def test_a_submodule_that_was_never_here_is_an_empty_folder(tmp_path: Path, dots: Path) -> None:
    with_submodule(tmp_path, dots)
    git(dots, "submodule", "deinit", "-f", "plug")
    shutil.rmtree(dots / ".git/modules")
    for side in unpacked(tmp_path):
        assert list((side / "plug").iterdir()) == []


def test_a_repository_that_variables_name(
    tmp_path: Path, dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_submodule(tmp_path, dots)
    (dots / "zsh").mkdir()
    (dots / "zsh/.zshrc").touch()
    commit(dots)
    monkeypatch.chdir(dots / "zsh")
    monkeypatch.setenv("GIT_DIR", "../.git")
    monkeypatch.setenv("GIT_WORK_TREE", "..")
    for side in unpacked(tmp_path):
        assert (side / ".zshrc").exists()
        assert (side.parent / "plug/plug.zsh").read_text() == "two\n"


def test_a_bare_repository(tmp_path: Path, dots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(dots), "bare")
    monkeypatch.chdir(tmp_path / "bare")
    assert all((side / ".zshrc").is_symlink() for side in unpacked(tmp_path))


def test_no_hook_runs_and_nothing_of_the_repository_changes(tmp_path: Path, dots: Path) -> None:
    for name in ("post-checkout", "post-index-change"):
        hook = dots / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
        hook.chmod(0o755)
    before = {path: path.lstat().st_mtime_ns for path in dots.rglob("*")}
    unpacked(tmp_path)
    assert {path: path.lstat().st_mtime_ns for path in dots.rglob("*")} == before
    assert not (tmp_path / "hooked").exists()


def test_a_commit_without_a_start_up_file_is_refused(tmp_path: Path, dots: Path) -> None:
    git(dots, "rm", "-q", ".zshrc")
    (dots / "zsh").write_text("x\n")
    commit(dots)
    with pytest.raises(ZdeferdError, match=r"no start-up file of zsh: \./ of HEAD"):
        unpacked(tmp_path, "HEAD~..")


@needs_zsh
def test_a_folder_whose_zshrc_is_not_read_is_refused(user: User) -> None:
    elsewhere = folder(user, "elsewhere")
    a, b = folder(user, "a"), folder(user, "b")
    (Path(b) / ".zshenv").write_text(f"print said; ZDOTDIR={elsewhere}\n")
    said = f"zsh would read {elsewhere}/.zshrc, and not the one of {b}"
    for words in (("compare", a, b, "-n", "2"), ("capture", "--zdotdir", b), ("blame", b)):
        result = call("perf", *words)
        assert result.code == 1
        assert said in result.err


@needs_zsh
def test_a_folder_whose_zshrc_is_below_it(user: User) -> None:
    a, b = folder(user, "a"), folder(user, "b")
    (Path(b) / "zsh").mkdir()
    (Path(b) / ".zshrc").rename(f"{b}/zsh/.zshrc")
    (Path(b) / ".zshenv").write_text("ZDOTDIR=$ZDOTDIR/zsh\n")
    assert compare(a, b, "-n", "2").code == 0


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "words",
    [(), ("/nowhere/at-all",), ("/tmp", "/nowhere/at-all"), ("/tmp", "/tmp", "-n", "1"),
     ("/tmp", "/tmp", "--fail-on", "faster"), ("--output=/tmp/x..y",)],
)  # fmt: skip
def test_usage(words: tuple[str, ...]) -> None:
    assert compare(*words).code == 1
