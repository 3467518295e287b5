"""The project's promises about itself: packages, words, documents, links.

Each test reads the sources as they stand (git's list of files where there is one) and
compares two places that must say the same.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zdeferd
from zdeferd import model
from zdeferd.cli import VERBS
from zdeferd.install.share import share
from zdeferd.rules import lifecycle
from zdeferd.telemetry import lines, sidecar
from zdeferd.wire import messages

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "zdeferd"
DOCS = ROOT / "docs"

FORBIDDEN_WORDS = {
    *("task", "tasks", "worker", "manager", "handler", "helper", "helpers"),
    *("util", "utils", "misc"),
}
STDLIB_ONLY = ("attempts", "crashpoints", "errors", "machine.paths", "install.share")
"""These modules and packages import the standard library and each other."""
OLDER = {
    *(("ledger", "jobs"), ("ledger", "wire"), ("view", "cli"), ("doctor", "cli")),
}
"""Imports that are older than the table and that it does not allow. This list only shrinks."""
NOT_IN_A_FILE = {"id", "source", "call"}
"""Fields of a Job that are not keys of a job file: the names of table and file, a shell's call."""


def tracked() -> list[Path]:
    """Every file of the project, tests included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def modules() -> dict[str, Path]:
    """Each module under its dotted name below `zdeferd`; a package under its own."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Names of what `path` imports: `.a.b` for a module of ours, else the top-level package."""
    package = path.relative_to(SOURCE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _named(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = ("zdeferd", *package)[: len(package) + 2 - node.level] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            yield from (_named(base, alias.name) for alias in node.names)


def _named(base: str, name: str = "") -> str:
    if base.partition(".")[0] != "zdeferd":
        return base.partition(".")[0]
    full = f"{base}.{name}".removeprefix("zdeferd").strip(".")
    return f".{full if full in modules() else full.rpartition('.')[0]}"


def package_of(module: str) -> str:
    """The first folder of a module's name; the modules beside the packages are in `root`."""
    first, _, rest = module.partition(".")
    return first if rest or ((SOURCE / first).is_dir() and first) else "root"


def allowed() -> dict[str, set[str]]:
    """The table of docs/architecture.md: package -> the packages that it may import."""
    text = (DOCS / "architecture.md").read_text().split("## The packages\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z]+)` \|.*\| ([a-z ]*) \|$", text, re.MULTILINE)
    return {package: set(names.split()) for package, names in rows}


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    return {
        name: {used[1:] for used in imported(path) if used[0] == "." and used[1:]} - {name}
        for name, path in modules().items()
    }


def test_every_package_is_in_the_table() -> None:
    assert set(allowed()) == {package_of(name) for name in modules()}


def test_packages_import_as_the_table_allows(edges: dict[str, set[str]]) -> None:
    may = allowed()
    refused = [
        f"{name} imports {used}"
        for name, all_used in edges.items()
        for used in all_used
        if package_of(used) not in may[package_of(name)] | {package_of(name)}
        and (package_of(name), package_of(used)) not in OLDER
    ]
    assert refused == []


def test_no_imports_in_a_circle(edges: dict[str, set[str]]) -> None:
    remaining = dict(edges)
    while free := [name for name, used in remaining.items() if not used & remaining.keys()]:
        for name in free:
            del remaining[name]
    assert remaining == {}


@pytest.mark.parametrize("name", STDLIB_ONLY)
def test_imports_the_standard_library_only(name: str) -> None:
    ours = {f".{module}" for module in modules() if module.partition(".")[0] in STDLIB_ONLY}
    used = {
        used
        for module, path in modules().items()
        if name in (module, package_of(module))
        for used in imported(path)
    }
    assert used - ours - sys.stdlib_module_names - {f".{module}" for module in STDLIB_ONLY} == set()


def test_names_use_the_words_of_the_glossary() -> None:
    bad = []
    for path in SOURCE.rglob("*.py"):
        names = [path.stem]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)
        for name in names:
            words = [word.lower() for word in re.findall(r"[a-z]+|[A-Z][a-z]*", name)]
            if set(words) & FORBIDDEN_WORDS:
                bad.append(f"{path.relative_to(ROOT)}: {name}")
    assert bad == []


def test_the_state_diagram_is_drawn_from_the_table() -> None:
    text = (DOCS / "architecture.md").read_text()
    drawn = re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert drawn == [lifecycle.diagram()]


def documented_fields(section: str) -> list[str]:
    """The first column of the table under the heading `section` of docs/protocol.md."""
    text = (DOCS / "protocol.md").read_text()
    body = re.search(rf"^### `{section}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert body, f"docs/protocol.md has no heading for the record {section}"
    return re.findall(r"^\| `(\w+)` \|", body[1], re.MULTILINE)


@pytest.mark.parametrize("name", messages.RECORDS)
def test_every_record_is_documented(name: str) -> None:
    assert documented_fields(name) == list(messages.RECORDS[name].__struct_fields__)


def documented_rows() -> dict[str, set[str]]:
    """Rows of the tables of verbs and replies: name -> the words in code font after it."""
    text = (DOCS / "protocol.md").read_text().split("## Requests of zdeferctl")[1]
    rows = re.findall(r"^\| `(\w+)` \|(.*)$", text, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", rest)) for name, rest in rows}


@pytest.mark.parametrize("kind", messages.Request.__args__ + messages.Reply.__args__)
def test_every_request_and_reply_is_documented(kind: type) -> None:
    name = kind.__struct_config__.tag  # type: ignore[attr-defined]
    replies = {reply.__struct_config__.tag for reply in messages.Reply.__args__}
    assert documented_rows()[name] - replies == set(kind.__struct_fields__)  # type: ignore[attr-defined]


def test_the_protocol_version_is_documented() -> None:
    assert f"version is **{messages.PROTOCOL}**" in (DOCS / "protocol.md").read_text()


def key(field: str) -> str:
    """A field's key in a file: there the value carries the unit."""
    return re.sub(r"_(s|bytes)$", "", field)


@pytest.mark.parametrize("field", model.Settings.__struct_fields__)
def test_every_setting_is_documented(field: str) -> None:
    assert f"`{key(field)}`" in (DOCS / "operations.md").read_text()


@pytest.mark.parametrize("field", sorted(set(model.Job.__struct_fields__) - NOT_IN_A_FILE))
def test_every_key_of_a_job_is_documented(field: str) -> None:
    assert f"`{key(field)}`" in (DOCS / "jobs.md").read_text()


@pytest.mark.parametrize("outcome", model.Outcome)
def test_every_outcome_is_in_the_glossary(outcome: model.Outcome) -> None:
    assert f"`{outcome}`" in (DOCS / "glossary.md").read_text()


@pytest.mark.parametrize("line", lines.PlainLine.__args__)
def test_every_plain_line_is_documented(line: type[lines.Deferred]) -> None:
    keys = re.findall(r"(\w+)=", line.TEXT)
    pattern = rf"`{line.TEXT.split()[0]} " + "".join(rf"[^`]*\b{key}=" for key in keys)
    assert re.search(pattern, (DOCS / "telemetry.md").read_text()), pattern


@pytest.mark.parametrize("kind", sidecar.SIDECAR_OBJECTS)
def test_every_sidecar_object_is_documented(kind: type[sidecar.JsonDeferred]) -> None:
    keys = ",".join(("type", *kind.__struct_fields__))
    assert re.search(
        rf"`{kind.__struct_config__.tag}` \| `{keys}`", (DOCS / "telemetry.md").read_text()
    )


@pytest.mark.parametrize("name", ["shell", "systemd", "launchd", "examples"])
def test_what_the_wheel_carries_is_there(name: str) -> None:
    assert any(Path(share(name)).iterdir())
    assert f'"{name}" = "zdeferd/share/{name}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_module_and_a_test(verb: str) -> None:
    assert {f"cli.{verb}"} & modules().keys()
    assert (ROOT / "tests" / "cli" / f"test_{verb}.py").is_file()


def headings(path: Path) -> list[str]:
    """A Markdown file's headings, without code marks."""
    return re.findall(r"^#+ (.+)$", path.read_text().replace("`", ""), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings(path)}


def test_every_link_resolves() -> None:
    broken = []
    for page in (path for path in tracked() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            linked = (page.parent / name).resolve() if name else page
            if not linked.exists() or (anchor and anchor not in anchors(linked)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_adr_is_numbered_in_order() -> None:
    names = sorted(path.name for path in (DOCS / "adr").iterdir())
    for number, name in enumerate(names, 1):
        assert name.startswith(f"{number:04d}-")
        assert (DOCS / "adr" / name).read_text().startswith(f"# {number}. ")


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(r"/(?:root|Users|wor[k]|home/(?!you\b|u\b)\w+)/")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if (match := place.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_the_changelog_has_this_version() -> None:
    assert f"## [{zdeferd.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
