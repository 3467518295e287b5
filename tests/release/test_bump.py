"""Setting a version: every place has it, a refusal writes nothing."""

import re
import shutil
from pathlib import Path

import pytest

import zdeferd
from tools import bump, recipes

ROOT = Path(__file__).parents[2]
FILES = (*bump.PLACES, bump.CHANGELOG)
OWN_VERSION = {"shell/features/template.zsh"}
"""Files with a version of their own: that of a feature which a user begins with."""
DAY = "2030-01-31"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files in which a version stands, with something to release."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / bump.CHANGELOG
    mark = bump.UNRELEASED
    changelog.write_text(changelog.read_text().replace(mark, f"{mark}\n### Added\n- A thing.\n", 1))
    return tmp_path


def texts(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in FILES}


def test_every_place_has_the_version() -> None:
    assert bump.current() == zdeferd.__version__
    assert bump.astray(zdeferd.__version__) == []


def test_no_other_file_has_the_version() -> None:
    version = re.compile(rf"(?<![\d.]){re.escape(zdeferd.__version__)}(?![\d.])")
    folders = [ROOT / name for name in ("src", "shell", "packaging", "docs", "systemd", "launchd")]
    files = [ROOT / "README.md", *(path for folder in folders for path in folder.rglob("*.*"))]
    texts = [path for path in files if path.is_file() and path.suffix not in (".pyc", ".zwc")]
    found = {str(p.relative_to(ROOT)) for p in texts if version.search(p.read_text("latin-1"))}
    assert found <= {*bump.PLACES, *OWN_VERSION}


def test_a_bump_sets_every_place(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bump.main(["9.8.7"], tree) == 0
    assert bump.astray("9.8.7", tree) == []
    assert bump.current(tree) == "9.8.7"
    assert capsys.readouterr().out == f"9.8.7 in {', '.join(FILES)}\n"


def test_the_changelog_keeps_an_empty_section_for_what_comes() -> None:
    before = "# C\n\n## [Unreleased]\n\n### Added\n- One.\n\n## [0.1.0]\n- Old.\n"
    after = bump.changelog(before, "0.2.0", DAY)
    assert after == (
        f"# C\n\n## [Unreleased]\n\n## [0.2.0] - {DAY}\n\n### Added\n- One.\n\n## [0.1.0]\n- Old.\n"
    )
    assert recipes.section("0.2.0", after) == "### Added\n- One."
    assert recipes.section("0.1.0", after) == "- Old."
    assert recipes.section("0.3.0", after) == ""


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", "not a version: "),
        ("1.0", "not a version: 1.0"),
        ("v9.0.0", "not a version: v9.0.0"),
        ("9.0.0rc1", "not a version: 9.0.0rc1"),
        (zdeferd.__version__, f"not newer than {zdeferd.__version__}"),
        ("0.0.9", f"not newer than {zdeferd.__version__}: 0.0.9"),
    ],
)
def test_a_bad_version_is_refused(
    version: str, said: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = texts(tree)
    assert bump.main([version], tree) == 1
    assert capsys.readouterr().err.startswith(f"bump: {said}")
    assert texts(tree) == before


def test_a_bump_of_nothing_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changelog = tree / bump.CHANGELOG
    changelog.write_text("# C\n\n## [Unreleased]\n\n## [0.1.0]\n- Old.\n")
    before = texts(tree)
    assert bump.main(["9.0.0"], tree) == 1
    assert "nothing to release" in capsys.readouterr().err
    assert texts(tree) == before


def test_places_that_disagree_are_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tree / "packaging/aur/PKGBUILD"
    recipe.write_text(recipe.read_text().replace("pkgver=", "pkgver=7."))
    before = texts(tree)
    assert bump.main(["9.0.0"], tree) == 1
    assert "once: packaging/aur/PKGBUILD: make" in capsys.readouterr().err
    assert texts(tree) == before


@pytest.mark.parametrize("words", [[], ["9.0.0", "9.0.1"]])
def test_usage(words: list[str], tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bump.main(words, tree) == 2
    assert capsys.readouterr().err.startswith("usage: ")
