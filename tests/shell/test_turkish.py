"""Names that are made from the user's words are the same in a locale whose i is no lower-case I.

In Turkish and Azeri the lower-case letter of I has no dot, and the upper-case one of i has one.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.zsh import run_zsh

NAME = "tr_TR.UTF-8"


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Turkish locale."""
    folder = tmp_path_factory.mktemp("locales")
    words = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / NAME)]
    made = shutil.which("localedef") and subprocess.run(words, capture_output=True, check=False)
    if not made or not (folder / NAME).exists():
        pytest.skip("this system cannot make the locale")
    return folder


@pytest.fixture
def turkish(home: Path, locales: Path) -> dict[str, str]:
    """The environment of a shell with a Turkish locale."""
    env = {"LOCPATH": str(locales), "LC_ALL": NAME, "PERF_SEGMENT_LOG": str(home / "log")}
    assert run_zsh("print ${(L):-I}", home, env, load=()).stdout != "i\n"
    return env


def out(code: str, home: Path, env: dict[str, str]) -> list[str]:
    """Return the lines that a shell prints, which says nothing else."""
    done = run_zsh(code, home, env)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_ids_of_jobs(home: Path, turkish: dict[str, str]) -> None:
    code = "zdefer eval print I=1; print $I; print -r -- ${_zdeferd_queue[1]//$'\\0'/ }"
    first, job = out(code, home, turkish)
    assert first == "1"
    assert job.startswith("add id=eval-print-i-1 ")
    assert "/print-i-1.zsh " in job


def test_the_id_of_a_dump_of_completion(home: Path, turkish: dict[str, str]) -> None:
    code = """
_zdeferd_dump= _zdeferd_dumped_for= _zdeferd_compdump=
for n in {1..40}; do
  fpath=($_zdeferd_root/functions /usr/share/zsh/$(( n * n * 99991 )))
  zdeferd-verb compinit
done
print -rl -- ${${_zdeferd_queue#add$'\\0'id=}%%$'\\0'*}
"""
    ids = out(code, home, turkish)
    assert len(ids) == 40
    assert any("i" in one.removeprefix("compinit-") for one in ids)
    assert not [one for one in ids if not one.isascii() or one != one.lower()]


def test_the_name_of_a_command_here(home: Path, turkish: dict[str, str]) -> None:
    code = """
source $_zdeferd_root/live/here.zsh
.zdeferd-here-name Install INFO; print -r -- $REPLY
"""
    assert out(code, home, turkish) == ["install-info"]


def test_labels_of_segments(home: Path, turkish: dict[str, str]) -> None:
    out("zf::segment::start Init; zf::segment::end Init", home, turkish)
    assert (home / "log").read_text().startswith("SEGMENT name=init ")


def test_variables_of_features(home: Path, turkish: dict[str, str]) -> None:
    code = """
ZSH_FEATURE_GIT_INFO_ENABLED=no
feature_registry_add git-info 2 '' no misc x 1
zf::feature::enabled git-info || print no
feature_registry_is_enabled git-info || print no
typeset -A ZF_MODULE_DEPENDENCIES=(git-init '')
_LOADED_GIT_INIT=1
zf::deps::export --only=modules
"""
    first, second, *modules = out(code, home, turkish)
    assert (first, second) == ("no", "no")
    assert "true" in "".join(modules)


def test_a_feature_is_made_and_checked(home: Path, turkish: dict[str, str]) -> None:
    code = "zsh-features new my-info f && zsh-features check f/my-info.zsh"
    done = run_zsh(code, home, turkish)
    assert done.returncode == 0, done
    assert "ZSH_FEATURE_MY_INFO_ENABLED" in (home / "f/my-info.zsh").read_text()
