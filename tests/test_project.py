"""The project's promises about itself: packages, words, documents, links.

Each test reads the sources as they stand (git's list of files where there is one) and
compares two places that must say the same.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import zdeferd
from zdeferd import model, settings
from zdeferd.cli import VERBS
from zdeferd.install.share import share
from zdeferd.jobs import registrations
from zdeferd.rules import lifecycle
from zdeferd.telemetry import lines, sidecar
from zdeferd.wire import control, messages

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "zdeferd"
DOCS = ROOT / "docs"
PLACES = (ROOT, SOURCE, ROOT / "shell")
"""Folders from which a page of docs names files."""

FORBIDDEN_WORDS = {
    *("task", "tasks", "worker", "manager", "handler", "helper", "helpers"),
    *("util", "utils", "misc"),
}
STDLIB_ONLY = ("attempts", "processes", "crashpoints", "errors", "machine.paths", "install.share")
"""These modules and packages import the standard library and each other."""
READS = (
    *("status", "jobs", "runs", "show", "log", "why", "simulate", "report"),
    *("check", "deps", "telemetry", "lint"),
)
"""Verbs that ask no daemon."""
NO_MSGSPEC = (
    *("ledger.reading", "machine.paths", "machine.lock"),
    *("view.runs", "view.live", "view.target", "view.where", "view.render", "view.health"),
)
"""Modules that `status` loads at its start."""
IMPURE = {"os", "time", "asyncio", "socket"}
WITH_CODE = {"", "cli", "cli.demo", "cli.perf"}
"""Packages whose `__init__` holds more than a docstring: the version, programs, and verbs."""
A_FILE_A_VERB = {"cli", "cli.perf"}
"""Packages with as many modules as there are verbs."""
MODULES_A_PACKAGE, LINES_A_MODULE, LINES_A_FUNCTION, LINES_A_PAGE = 10, 300, 40, 250
NOT_IN_A_FILE = {"id", "source", "call", "umask"}
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


@cache
def modules() -> dict[str, Path]:
    """Each module under its dotted name below `zdeferd`; a package under its own."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def statements(node: ast.AST, later: bool) -> Iterator[ast.AST]:
    """Nodes of a module; unless `later`, only those that run when it is imported."""
    for child in ast.iter_child_nodes(node):
        yield child
        delayed = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if later or not (delayed or for_types):
            yield from statements(child, later)


@cache
def imported(name: str, later: bool = True) -> set[str]:
    """Imports of a module: `.a.b` for a module of ours, else the top-level package."""
    path = modules()[name]
    package = path.relative_to(SOURCE).parts[:-1]
    found = set()
    for node in statements(ast.parse(path.read_text()), later):
        if isinstance(node, ast.Import):
            found |= {_named(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ("zdeferd", *package)[: len(package) + 2 - node.level] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            found |= {_named(base, alias.name) for alias in node.names}
    return found - {f".{name}", "."}


def _named(base: str, name: str = "") -> str:
    if base.partition(".")[0] != "zdeferd":
        return base.partition(".")[0]
    full = f"{base}.{name}".removeprefix("zdeferd").strip(".")
    return f".{full if full in modules() else full.rpartition('.')[0]}"


def loaded(name: str) -> set[str]:
    """All that importing a module loads: `.a.b` for ours, else the top-level package."""
    found: set[str] = set()
    ahead = {f".{name}"}
    while ahead:
        one = ahead.pop()
        found.add(one)
        if one[0] == ".":
            ahead |= imported(one[1:], later=False) - found
    return found


class Room(NamedTuple):
    """A row of the table of packages in docs/architecture.md."""

    modules: set[str]
    may_import: set[str]


@cache
def rooms() -> dict[str, Room]:
    """Package -> its row; `root` has the modules beside the packages."""
    text = (DOCS / "architecture.md").read_text().split("## The packages\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z/]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    return {
        package.replace("/", "."): Room(
            set(listed.split(",")[0].split()), set(names.replace("/", ".").split())
        )
        for package, listed, names in rows
    }


def package_of(module: str) -> str:
    """The package of the table to which a module belongs."""
    parts = module.split(".")
    above = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in above if name in rooms() and name != "root"), "root")


def files_of(package: str) -> dict[str, Path]:
    """The modules of a package by their own names; its `__init__` and `__main__` are none."""
    prefix = "" if package == "root" else f"{package}."
    return {
        name.removeprefix(prefix): path
        for name, path in modules().items()
        if package_of(name) == package and name not in ("", package)
        if path.stem not in ("__init__", "__main__")
    }


@pytest.mark.parametrize("package", sorted({package_of(name) for name in modules()} | {*rooms()}))
def test_the_table_has_every_module(package: str) -> None:
    verbs = set(VERBS) if package == "cli" else set()
    assert rooms()[package].modules == files_of(package).keys() - verbs


def test_packages_import_as_the_table_allows() -> None:
    refused = [
        f"{name} imports {used[1:]}"
        for name in modules()
        for used in imported(name)
        if used[0] == "." and package_of(used[1:]) != package_of(name)
        if not {package_of(used[1:]), used[1:]} & rooms()[package_of(name)].may_import
    ]
    assert refused == []


def test_no_imports_in_a_circle() -> None:
    remaining = {name: {used[1:] for used in imported(name)} for name in modules()}
    while free := [name for name, used in remaining.items() if not used & remaining.keys()]:
        for name in free:
            del remaining[name]
    assert remaining == {}


@pytest.mark.parametrize("name", STDLIB_ONLY)
def test_imports_the_standard_library_only(name: str) -> None:
    ours = {one for one in modules() if {one, package_of(one)} & set(STDLIB_ONLY)}
    used = {used for one in ours if name in (one, package_of(one)) for used in imported(one)}
    assert used - sys.stdlib_module_names - {f".{one}" for one in ours} == set()


@pytest.mark.parametrize("name", sorted(f"rules.{name}" for name in files_of("rules")))
def test_rules_have_no_clock_no_input_and_no_output(name: str) -> None:
    assert imported(name) & IMPURE == set()


@pytest.mark.parametrize("verb", READS)
def test_a_verb_that_reads_loads_no_zeromq(verb: str) -> None:
    assert loaded(f"cli.{verb}") & {"zmq", ".wire.client", ".wire.router"} == set()


@pytest.mark.parametrize("name", NO_MSGSPEC)
def test_a_module_that_status_begins_with_loads_no_msgspec(name: str) -> None:
    assert loaded(name) & {"msgspec", ".model"} == set()


def test_packages_modules_and_functions_are_small() -> None:
    packages = rooms().keys() - A_FILE_A_VERB
    large = [name for name in packages if len(files_of(name)) > MODULES_A_PACKAGE]
    for name, path in modules().items():
        lines = path.read_text().splitlines()
        large += [name] * (len(lines) > LINES_A_MODULE)
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                large += [f"{name}.{node.name}"] * (length > LINES_A_FUNCTION)
    assert large == []


def test_no_page_is_too_long() -> None:
    pages = {path.name: len(path.read_text().splitlines()) for path in DOCS.rglob("*.md")}
    assert {name: lines for name, lines in pages.items() if lines > LINES_A_PAGE} == {}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_importing_a_package_costs_nothing(path: Path) -> None:
    if ".".join(path.parent.relative_to(SOURCE).parts) not in WITH_CODE:
        (docstring,) = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr)
        assert len(path.read_text().splitlines()) == 1


def named_files(page: Path) -> set[str]:
    """The source files that a page of docs names, as it writes them."""
    return set(re.findall(r"`([\w/]+/[\w-]+\.(?:py|sql|zsh))`", page.read_text()))


PAGES = sorted(
    {*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bench/README.md"}
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = named_files(page)
    assert {one for one in named if not any((at / one).is_file() for at in PLACES)} == set()


def test_every_module_that_the_architecture_names_exists() -> None:
    text = (DOCS / "architecture.md").read_text()
    packages = "|".join(rooms())
    named = set(re.findall(rf"`((?:{packages})\.\w+)`", text))
    assert len(named) > 3
    assert named <= modules().keys()
    assert len(named_files(DOCS / "architecture.md")) > 20


def test_a_readers_questions_are_answered_in_four_files_each() -> None:
    text = (DOCS / "architecture.md").read_text().split("## Where to look\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|`]*(?:`\w+`)?[^|`]*\? \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for row in rows:
        files = re.findall(r"`([\w/]+\.py)`", row)
        assert 1 <= len(files) <= 4
        assert [one for one in files if not (SOURCE / one).is_file()] == []


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


@pytest.mark.parametrize("kind", control.Request.__args__ + control.Reply.__args__)
def test_every_request_and_reply_is_documented(kind: type) -> None:
    name = kind.__struct_config__.tag  # type: ignore[attr-defined]
    replies = {reply.__struct_config__.tag for reply in control.Reply.__args__}
    assert documented_rows()[name] - replies == set(kind.__struct_fields__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", sorted({*registrations.SINGLE, *registrations.REPEATED}))
def test_every_field_of_a_declared_job_is_documented(field: str) -> None:
    page = (DOCS / "protocol.md").read_text()
    said = page.split("The fields are\n")[1].split("\n\n")[0]
    assert f"`{field}`" in said


def test_the_protocol_version_is_documented() -> None:
    assert f"version is **{messages.PROTOCOL}**" in (DOCS / "protocol.md").read_text()


def key(field: str) -> str:
    """A field's key in a file: there the value carries the unit."""
    return re.sub(r"_(s|bytes)$", "", field)


@pytest.mark.parametrize("field", settings.Settings.__struct_fields__)
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


@pytest.mark.parametrize("name", ["shell", "systemd", "launchd", "examples", "docs"])
def test_what_the_wheel_carries_is_there(name: str) -> None:
    assert any(Path(share(name)).iterdir())
    assert f'"{name}" = "zdeferd/share/{name}"' in (ROOT / "pyproject.toml").read_text()


def test_what_the_wheel_includes_is_put_into_the_package() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = wheel["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = tuple(f"{folder}/" for folder in wheel["sources"] if (ROOT / folder).is_dir())
    for path in wheel["include"]:
        assert f"{path.lstrip('/')}/".startswith(folders), path


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


def test_every_page_is_in_the_contents() -> None:
    contents = (DOCS / "README.md").read_text()
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md", "index.md"}
    assert {name for name in pages if f"]({name})" not in contents} == set()


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


def test_the_changelog_tells_each_thing_of_a_version_once() -> None:
    """A merge of two branches can leave an entry twice."""
    for version in (ROOT / "CHANGELOG.md").read_text().split("\n## [")[1:]:
        begun = re.findall(r"^(?:#{3,4}|\s*-) .{8,}", version, re.MULTILINE)
        assert [line for line, times in Counter(begun).items() if times > 1] == []
