"""The recipes of packaging/ say what pyproject.toml says, and their own tools read them.

ruby, makepkg and nix-instantiate each read a recipe where they are installed, as CI has them.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import zdeferd
from tools import recipes

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOME = "https://example.org/zdeferd"
NAMES = [re.split(r"[>=]", one)[0] for one in PROJECT["dependencies"]]
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
STAND_INS = """
let
  ps = {
    buildPythonPackage = given: given;
    pythonOlder = version: version;
    hatchling = "hatchling"; msgspec = "msgspec"; psutil = "psutil"; pyzmq = "pyzmq";
    uvloop = "uvloop";
  };
  recipe = import RECIPE {
    lib = { cleanSource = toString; licenses.mit = "MIT"; platforms.unix = [ ]; };
    python3.withPackages = chosen: builtins.toJSON (chosen ps);
    runCommand = name: attributes: text: { inherit name attributes text; };
  };
in recipe
"""
"""Evaluates the Nix recipe without nixpkgs: the functions that it calls return their arguments."""


def need(program: str) -> str:
    """The path of a recipe's own tool; without it the test is left out."""
    if not (path := shutil.which(program)):
        pytest.skip(f"{program} is not installed")
    return path


def said(*words: str, **env: str) -> str:
    """What a command prints in the folder of the PKGBUILD; it must succeed."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=200, check=False, cwd=PACKAGING / "aur",
        env=ENV | env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def pkgbuild(name: str) -> list[str]:
    """The values of a variable of the PKGBUILD."""
    script = f'source ./PKGBUILD; printf "%s\\n" "${{{name}[@]}}"'
    return said("bash", "-euc", script).splitlines()


def test_pkgbuild_agrees_with_the_project() -> None:
    python, *others, zsh = pkgbuild("depends")
    assert python == f"python{PROJECT['requires-python']}"
    assert sorted(others) == sorted(f"python-{one}" for one in PROJECT["dependencies"])
    assert zsh.startswith("zsh>=")
    assert "python-hatchling" in pkgbuild("makedepends")
    assert pkgbuild("pkgver") == [zdeferd.__version__]
    assert pkgbuild("pkgdesc") == [PROJECT["description"]]


@pytest.fixture
def anyone() -> Iterator[Path]:
    """A folder of a user who is not root: makepkg refuses root."""
    folder = Path(tempfile.mkdtemp(prefix="zd.aur.", dir="/tmp"))
    shutil.copy(PACKAGING / "aur/PKGBUILD", folder)
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
    yield folder
    shutil.rmtree(folder)


def test_makepkg_reads_the_pkgbuild(anyone: Path) -> None:
    root = os.getuid() == 0
    # PACMAN: makepkg ends without one, and this asks it nothing
    done = subprocess.run(
        [need("makepkg"), "--printsrcinfo"], capture_output=True, text=True, timeout=200,
        check=False, cwd=anyone, env=ENV | {"PACMAN": "true"},
        user="nobody" if root else None, extra_groups=[] if root else None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"\tpkgver = {zdeferd.__version__}\n" in done.stdout
    depends = re.findall(r"^\tdepends = python-(.*)$", done.stdout, re.MULTILINE)
    assert sorted(depends) == sorted(PROJECT["dependencies"])


def test_nix_agrees_with_the_project() -> None:
    text = (PACKAGING / "nix/package.nix").read_text()
    listed = re.search(r" dependencies = \[(.*?)\]", text, re.DOTALL)
    assert listed
    assert sorted(re.findall(r"ps\.(\w+)", listed[1])) == sorted(NAMES)
    assert f'pythonOlder "{PROJECT["requires-python"].removeprefix(">=")}"' in text
    assert f'description = "{PROJECT["description"]}"' in text


def test_nix_evaluates_the_recipe(tmp_path: Path) -> None:
    expression = STAND_INS.replace("RECIPE", str(PACKAGING / "nix/package.nix"))
    words = ("--eval", "--strict", "--json", "--expr", expression)
    recipe = json.loads(said(need("nix-instantiate"), *words, NIX_STATE_DIR=str(tmp_path)))
    assert recipe["name"] == f"zdeferd-{zdeferd.__version__}"
    module = json.loads(re.findall(r"ln -s (\[.*?\])/bin/zdeferd ", recipe["text"])[0])[0]
    assert module["src"] == str(ROOT)
    assert module["build-system"] == ["hatchling"]
    assert sorted(module["dependencies"]) == sorted(NAMES)


def test_homebrew_agrees_with_the_project() -> None:
    text = (PACKAGING / "homebrew/zdeferd.rb").read_text()
    (minor,) = set(re.findall(r"python@3\.(\d+)", text))
    assert f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"]
    assert f'desc "{PROJECT["description"].removeprefix("A ").replace("per", "Per", 1)}"' in text
    assert all(f'libexec/"bin/{program}"' in text for program in PROJECT["scripts"])


def test_ruby_reads_the_formula() -> None:
    assert said(need("ruby"), "-wc", str(PACKAGING / "homebrew/zdeferd.rb")) == "Syntax OK\n"


def test_a_release_has_filled_recipes_and_notes(tmp_path: Path) -> None:
    (sdist := tmp_path / f"zdeferd-{zdeferd.__version__}.tar.gz").write_bytes(b"an sdist")
    assert recipes.main([str(sdist), HOME, str(tmp_path / "out")]) == 0
    made = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert made.keys() == {"PKGBUILD", "zdeferd.rb", "notes.md"}
    digest = hashlib.sha256(b"an sdist").hexdigest()
    for name in ("PKGBUILD", "zdeferd.rb"):
        assert "@home@" not in made[name]
        assert "@sha256@" not in made[name]
        assert HOME in made[name]
        assert digest in made[name]
    assert made["notes.md"].startswith("### Added\n")


def test_a_version_without_a_section_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sdist := tmp_path / "zdeferd-99.0.0.tar.gz").write_bytes(b"")
    assert recipes.main([str(sdist), HOME, str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("recipes: not in CHANGELOG.md: 99.0.0")
    assert not (tmp_path / "out").exists()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert recipes.main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
