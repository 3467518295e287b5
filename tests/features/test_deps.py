"""zf::deps::export: stable bytes of JSON and DOT, every option, failed writes."""

import json
import os
from pathlib import Path

import pytest
from support.zsh import FEATURES, run_zsh

# What the registry keeps, so that these tests are of the export alone.
REGISTRY = """
typeset -ga ZSH_FEATURE_REGISTRY_NAMES=(x noop off)
typeset -gA ZSH_FEATURE_REGISTRY_DEPENDS=(x 'noop,gone' noop '' off 'noop')
feature_registry_is_enabled() { [[ $1 != off ]] }
"""
MODULES = """
typeset -gA ZF_MODULE_DEPENDENCIES=(core '' net-1 'core dns' old core 'q"\\' '')
_LOADED_CORE=1 _LOADED_NET_1=1 _LOADED_OLD=1 ZF_DISABLED_MODULES='none,old'
"""
STABLE = {"SOURCE_DATE_EPOCH": "1767225600"}


def export(home: Path, words: str, before: str = REGISTRY) -> tuple[str, str]:
    done = run_zsh(
        f"{before}\nzf::deps::export {words}; print -r -- rc=$?", home, STABLE, (FEATURES,)
    )
    return done.stdout, done.stderr


def test_json_byte_for_byte(home: Path) -> None:
    before = REGISTRY.replace("(x noop off)", "(x noop)").replace("noop,gone", "noop")
    assert export(home, "", before) == (
        """{
  "version": 1,
  "generated_at": "2026-01-01T00:00:00Z",
  "source": "zdeferd",
  "filters": {"only":"all","include_disabled":true},
  "nodes": [
    {"id":"noop","kind":"feature","group":"feature","enabled":true},
    {"id":"x","kind":"feature","group":"feature","enabled":true}
  ],
  "edges": [
    {"from":"x","to":"noop","kind":"feature_dep","group":"feature"}
  ]
}
rc=0
""",
        "",
    )


def test_dot_byte_for_byte(home: Path) -> None:
    modules = "typeset -gA ZF_MODULE_DEPENDENCIES=(m n)"
    assert export(home, "--dot", f"{REGISTRY}\n{modules}") == (
        """// generated_at 2026-01-01T00:00:00Z
digraph zsh_deps {
  rankdir=LR;
  node [shape=box,fontsize=11];
  "m" [style=filled,fillcolor="gray90",color="gray50",label="m\\n(module)"];
  "n" [style=filled,fillcolor="lemonchiffon",color="goldenrod",label="n\\n(module)"];
  "gone" [style=filled,fillcolor="lemonchiffon",color="goldenrod",label="gone\\n(feature)"];
  "noop" [style=filled,fillcolor="white",color="black",label="noop\\n(feature)"];
  "off" [style=filled,fillcolor="gray90",color="gray50",label="off\\n(feature)"];
  "x" [style=filled,fillcolor="white",color="black",label="x\\n(feature)"];
  "m" -> "n" [label="decl",fontsize=9];
  "off" -> "noop" [label="feat",fontsize=9];
  "x" -> "gone" [label="feat",fontsize=9];
  "x" -> "noop" [label="feat",fontsize=9];
}
rc=0
""",
        "",
    )


def nodes(home: Path, words: str) -> list[tuple[str, str, object]]:
    out, err = export(home, words, REGISTRY + MODULES)
    assert err == ""
    made = json.loads(out.removesuffix("rc=0\n"))
    ends = {one["id"] for one in made["nodes"]}
    assert all({edge["from"], edge["to"]} <= ends for edge in made["edges"])
    return [(one["kind"], one["id"], one["enabled"]) for one in made["nodes"]]


def test_modules_and_features(home: Path) -> None:
    modules: list[tuple[str, str, object]] = [
        *(("module", "core", True), ("module", "dns", None), ("module", "net-1", True)),
        *(("module", "old", False), ("module", 'q"\\', False)),
    ]
    features: list[tuple[str, str, object]] = [
        *(("feature", "gone", None), ("feature", "noop", True)),
        *(("feature", "off", False), ("feature", "x", True)),
    ]
    assert nodes(home, "") == modules + features
    assert nodes(home, "--only=modules") == modules
    assert nodes(home, "--only features") == features
    assert nodes(home, "--exclude-disabled") == [
        one for one in modules + features if one[2] is not False
    ]
    assert nodes(home, "--exclude-disabled --include-disabled") == modules + features


def test_what_only_disabled_nodes_name_stays_without_its_edges(home: Path) -> None:
    before = REGISTRY.replace("off 'noop'", "off 'noop,lost'")
    out, _ = export(home, "--exclude-disabled", before)
    made = json.loads(out.removesuffix("rc=0\n"))
    assert [one["id"] for one in made["nodes"]] == ["gone", "lost", "noop", "x"]
    assert {edge["from"] for edge in made["edges"]} == {"x"}


def test_control_bytes_in_names_become_blanks(home: Path) -> None:
    before = "typeset -gA ZF_MODULE_DEPENDENCIES=($'a\\nb\\t' $'c\\e')"
    out, _ = export(home, "", before)
    made = json.loads(out.removesuffix("rc=0\n"))
    assert [one["id"] for one in made["nodes"]] == ["a b ", "c "]
    assert [(one["from"], one["to"]) for one in made["edges"]] == [("a b ", "c ")]


@pytest.mark.parametrize("form", ["--json", "--dot"])
def test_the_graph_is_utf8_whatever_names_are(form: str, home: Path) -> None:
    out, _ = export(home, f"{form} --no-header", "typeset -gA ZF_MODULE_DEPENDENCIES=($'a\\xff' ü)")
    assert "a\ufffd" in out
    assert "ü" in out


def test_an_empty_graph(home: Path) -> None:
    out, _ = export(home, "--no-header", "")
    assert json.loads(out.removesuffix("rc=0\n")) == {
        "version": 1,
        "source": "zdeferd",
        "filters": {"only": "all", "include_disabled": True},
        "nodes": [],
        "edges": [],
    }


@pytest.mark.parametrize("words", ["--json", "--dot", "--format=dot", "--format dot"])
def test_without_a_header_equal_graphs_give_equal_bytes(words: str, home: Path) -> None:
    found = {export(home, f"{words} --no-header", REGISTRY + MODULES) for _ in range(2)}
    other = REGISTRY.replace("(x noop off)", "(off x noop)") + MODULES
    found.add(export(home, f"--no-header {words}", other))
    assert len(found) == 1
    assert "generated_at" not in found.pop()[0]


@pytest.mark.parametrize("epoch", [0, 951782399, 951868800, 1709164800, 4102444799, 1767225600])
def test_the_instant_is_utc(epoch: int, home: Path) -> None:
    from time import gmtime, strftime

    env = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "Asia/Kolkata"}
    done = run_zsh("zf::deps::export", home, env, (FEATURES,))
    stamp = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(epoch))
    assert json.loads(done.stdout)["generated_at"] == stamp


@pytest.mark.parametrize("words", ["-o out", "--output out", "--output=out", "-oout"])
def test_a_file_and_an_empty_stdout(words: str, home: Path) -> None:
    assert export(home, words) == ("rc=0\n", "")
    assert json.loads((home / "out").read_text())["version"] == 1
    assert sorted(path.name for path in home.iterdir()) == ["out", "script.zsh"]


@pytest.mark.parametrize("target", ["none/out", "folder", "/dev/full"])
def test_a_failed_write(target: str, home: Path) -> None:
    (home / "folder").mkdir()
    out, err = export(home, f"-o {target}")
    assert out == "rc=1\n"
    assert err == f"zf::deps::export: cannot write: {target}; name another file\n"
    assert sorted(path.name for path in home.iterdir()) == ["folder", "script.zsh"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o4755])
def test_a_file_that_was_there_keeps_its_mode(mode: int, home: Path) -> None:
    (home / "out").touch()
    (home / "out").chmod(mode)
    assert export(home, "-o out") == ("rc=0\n", "")
    assert (home / "out").stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to what is read-only")
def test_a_file_that_is_read_only_is_untouched(home: Path) -> None:
    (home / "out").write_text("before\n")
    (home / "out").chmod(0o444)
    assert export(home, "-o out")[0] == "rc=1\n"
    assert (home / "out").read_text() == "before\n"


def test_a_file_that_was_there_is_untouched_where_the_disk_is_full(home: Path) -> None:
    (home / "out").write_text("before\n")
    code = f"{REGISTRY}\ntrap '' XFSZ; ulimit -f 0; zf::deps::export -o out; print -r -- rc=$?"
    done = run_zsh(code, home, STABLE, (FEATURES,))
    assert "rc=1\n" in done.stdout
    assert (home / "out").read_text() == "before\n"


def test_what_is_no_regular_file_is_written_to(home: Path) -> None:
    assert export(home, "-o /dev/null") == ("rc=0\n", "")
    assert Path("/dev/null").is_char_device()
    (home / "link").symlink_to("target")
    assert export(home, "-o link") == ("rc=0\n", "")
    assert (home / "link").is_symlink()
    assert json.loads((home / "target").read_text())["version"] == 1


@pytest.mark.parametrize(
    "words", ["--frob", "x", "--format=xml", "--format", "--only=x", "--output", "--output="]
)
def test_bad_arguments(words: str, home: Path) -> None:
    out, err = export(home, words)
    assert out == "rc=1\n"
    assert err.startswith("zf::deps::export: ")
    assert "; zf::deps::export [--format=json|dot]" in err


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help(word: str, home: Path) -> None:
    out, err = export(home, word)
    assert out.startswith("usage: zf::deps::export ")
    assert out.endswith("rc=0\n")
    assert err == ""


def test_matches_of_the_user_are_kept(home: Path) -> None:
    before = f"{REGISTRY}{MODULES}\nMATCH=mine MBEGIN=1; match=(a b)"
    out, _ = export(home, "-o out; print -r -- $MATCH $MBEGIN $match", before)
    assert out == "mine 1 a b\nrc=0\n"
    assert os.path.exists(home / "out")
