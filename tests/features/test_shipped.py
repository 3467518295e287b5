"""The features that come with zdeferd: what each does, undone by its teardown, and its job."""

import contextlib
import subprocess
import time
from pathlib import Path

import pytest
from features.conftest import Start
from shell.test_harmless import HOSTILE
from support.daemon import Daemon
from support.terminal import LIMIT_S
from support.zsh import FEATURES, SHELL, run_zsh

SHIPPED = SHELL / "features/shipped"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.zsh"))
STATE = """{ setopt; print -r -- "$PROMPT|$RPROMPT|$precmd_functions|$preexec_functions"
  print -r -- "$zshaddhistory_functions"; alias; zstyle -L; bindkey -L | grep A; bindkey | grep B
  print -r -- ${(k)functions[(I)rm|noop*]} ${(k)parameters[(I)_zf*]} } 2>&1"""


def load(*names: str) -> str:
    """Loads shipped features."""
    return f"zsh-features load {' '.join(f'{SHIPPED}/{name}.zsh' for name in names)}"


def test_these_are_shipped() -> None:
    assert ", ".join(NAMES) == (
        "completion-aug, git-segment, history-adv, noop, prompt-core, safety-boundaries"
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_rules_of_a_feature(name: str, home: Path) -> None:
    done = run_zsh(f"zsh-features check {SHIPPED}/{name}.zsh", home, load=(FEATURES,))
    assert (done.stdout, done.stderr) == (f"{SHIPPED}/{name}.zsh: ok\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_its_teardown_undoes_its_init_even_where_that_ran_twice(
    name: str, home: Path, start: Start
) -> None:
    code = f"autoload -Uz compinit; compinit -D\n{STATE} >one\n{load(name)}; {load(name)}\n"
    code += f"{STATE} >used\nzsh-features off {name}\n{STATE} >two\nprint -r -- all d'one'"
    shell = start(code)
    shell.expect("all done\n")
    said = [line for line in shell.screen.splitlines() if "[zf]" in line]
    assert all("git-segment: depends on prompt-core" in line for line in said)
    one, used, two = ((home / file).read_text() for file in ("one", "used", "two"))
    assert one == two
    assert used != one


SETTINGS = [*(HOSTILE[name] for name in ("nounset", "errexit", "IFS", "vi mode"))]
SETTINGS += ["setopt warn_create_global", "setopt ksh_arrays sh_word_split"]


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_of_them_are_silent_under(settings: str, start: Start) -> None:
    shell = start(load(*NAMES), before=settings)
    shell.expect("~ [#%]")
    shell.line("zsh-features status --summary")
    assert "[zf]" not in shell.expect("total=6 enabled=6").text
    assert "[zf]" not in shell.screen
    assert "not set" not in shell.screen


def test_noop(home: Path) -> None:
    done = run_zsh(f"{load('noop')}; noop::ping; print $?", home, load=(FEATURES,))
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_prompt_core_shows_the_folder_the_status_and_the_duration(start: Start) -> None:
    shell = start(load("prompt-core"))
    shell.expect("~ [#%]")
    shell.line("(exit 7)")
    shell.expect("~ 7 [#%]")
    shell.line("cd /; SECONDS=$(( SECONDS + 75 ))")
    shell.expect("/ 1m15s [#%]")
    shell.line("")
    shell.expect("/ [#%]")


def test_history_adv_leaves_secrets_out(home: Path, start: Start) -> None:
    shell = start(load("history-adv"))
    shell.prompt()
    for line in ("print one", "export API_TOKEN=abc", " print blank", "print two"):
        shell.run(line)
    text = (home / ".zsh_history").read_text()
    assert "print one" in text
    assert "abc" not in text
    assert "blank" not in text
    shell.type("print o\x1b[A\r")
    shell.expect("one\n")


def test_completion_aug_starts_from_the_cache_that_its_job_makes(home: Path, start: Start) -> None:
    dump = home / ".cache/zdeferd/completion-aug/dump"
    with contextlib.ExitStack() as ending:
        daemon = Daemon(home).start()
        ending.callback(daemon.stop)
        shell = start(load("completion-aug"))
        shell.prompt()
        deadline = time.monotonic() + LIMIT_S
        while not dump.with_name("dump.zwc").exists():
            assert time.monotonic() < deadline, daemon.errors.read_text()
            shell.read(0.05)
    assert "compdef" in dump.read_text() or "_comps" in dump.read_text()
    shell = start(f"compaudit() {{ print audited }}\n{load('completion-aug')}")
    shell.prompt()
    assert "audited" not in shell.screen
    assert shell.ask("$_comps[cd]") == "_cd"


def test_git_segment_shows_the_branch_and_what_its_job_counted(home: Path, start: Start) -> None:
    root = home / "repo"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root)]
    root.mkdir()
    subprocess.run([*git, "init", "-q", "-b", "some/branch"], check=True)
    (root / "file").touch()
    with contextlib.ExitStack() as ending:
        daemon = Daemon(home).start()
        ending.callback(daemon.stop)
        shell = start(load("prompt-core", "git-segment"))
        shell.expect("~ [#%]")
        shell.line(f"cd {root}")
        shell.expect(r"~/repo [#%]\s+some/branch")
        again = start(load("prompt-core", "git-segment"))
        again.expect("~ [#%]")
        changed = home / ".cache/zdeferd/git-segment/changed"
        deadline = time.monotonic() + LIMIT_S
        while not (changed.exists() and changed.read_text()):
            assert time.monotonic() < deadline, daemon.errors.read_text()
            again.read(0.05)
        assert changed.read_text() == f"1 {root}\n"
        again.line("cd repo")
        again.expect(r"some/branch \*1")


def test_git_segment_where_git_alone_can_read_the_branch(home: Path, start: Start) -> None:
    (home / "repo/.git").mkdir(parents=True)
    (home / "repo/.git/HEAD").write_text("ref: refs/heads/.invalid\n")  # as with reftables
    shell = start(load("prompt-core", "git-segment"))
    shell.expect("~ [#%]")
    shell.line("cd repo")
    shell.expect(r"~/repo [#%]\s+reftable")


def test_safety_boundaries(home: Path, start: Start) -> None:
    shell = start(load("safety-boundaries"))
    shell.prompt()
    (home / "kept").write_text("kept")
    (home / "gone").mkdir()
    assert "file exists" in shell.run("print x >kept")
    for place in ("~", "/", f"{home}/gone/..", "/tmp"):
        assert "refused" in shell.run(f"rm -rf {place}")
    shell.run("rm -r gone")
    assert (home / "kept").read_text() == "kept"
    assert not (home / "gone").exists()
