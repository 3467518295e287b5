"""`zdeferctl deps`: jobs and their `after` as a picture, JSON and DOT."""

import pytest
from support.user import User, call

from zdeferd.features.graph import graph, picture

JOBS = """
[folder]
run = "true"
[dump]
run = "true"
after = ["folder", "gone"]
[zwc]
run = "true"
after = ["dump", "folder"]
[alone]
run = "true"
"""


def test_a_picture_for_the_terminal(user: User) -> None:
    user.job_file(JOBS)
    assert call("deps").out == (
        "alone\n"
        "folder\n"
        "└─ dump\n"
        "   └─ zwc\n"
        "└─ zwc\n"
        "gone (not declared)\n"
        "└─ dump (see above)\n"
        "\n5 jobs, 4 after another\n"
    )


def test_a_picture_for_a_terminal_without_utf8(user: User) -> None:
    user.job_file(JOBS)
    shown = user.program("deps", PYTHONIOENCODING="latin-1").out
    assert shown == call("deps").out.replace("└", "`").replace("─", "-")


def test_no_jobs(user: User) -> None:
    assert call("deps") == (0, "no jobs yet\n", "")


def test_json_in_the_layout_of_the_export(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    user.job_file(JOBS + "[bad]\nrun = 7\n")
    made = call("deps", "--json").document
    assert made["generated_at"] == "2026-01-01T00:00:00Z"
    assert (made["version"], made["source"]) == (1, "zdeferd")
    assert made["nodes"] == [
        {"id": id_, "kind": "job", "group": "job", "enabled": enabled}
        for id_, enabled in (
            *(("alone", True), ("bad", False), ("dump", True)),
            *(("folder", True), ("gone", None), ("zwc", True)),
        )
    ]
    assert made["edges"] == [
        {"from": one, "to": other, "kind": "after", "group": "job"}
        for one, other in (
            *(("dump", "folder"), ("dump", "gone")),
            *(("zwc", "dump"), ("zwc", "folder")),
        )
    ]


def test_dot(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    user.job_file('[b]\nrun = "true"\nafter = ["a"]\n')
    assert call("deps", "--dot").out == (
        "// generated_at 2026-01-01T00:00:00Z\n"
        "digraph zsh_deps {\n"
        "  rankdir=LR;\n"
        "  node [shape=box,fontsize=11];\n"
        '  "a" [style=filled,fillcolor="lemonchiffon",color="goldenrod",label="a\\n(job)"];\n'
        '  "b" [style=filled,fillcolor="white",color="black",label="b\\n(job)"];\n'
        '  "b" -> "a" [label="after",fontsize=9];\n'
        "}\n"
    )


def test_jobs_of_a_cycle_are_shown() -> None:
    rows = picture(graph({"a": ["b"], "b": ["a"], "c": ["a"]}))
    assert [(depth, node.id, above) for depth, node, above in rows] == [
        *((0, "a", False), (1, "b", False), (2, "a", True), (1, "c", False))
    ]
