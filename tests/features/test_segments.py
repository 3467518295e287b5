"""Segments of the shell: their lines, their sidecar, their silence, in a real zsh."""

import json
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest
from shell.test_harmless import HOSTILE
from support.terminal import Terminal
from support.zsh import BOTH, FEATURES, LIMIT_S, PLUGIN, run_zsh

from zdeferd.telemetry.lines import Segment, parse

CALLS = "trace=clone,clone3,fork,vfork,execve,write"

LOADED = pytest.mark.parametrize(
    "load", [(PLUGIN,), (FEATURES,), BOTH], ids=["plugin", "alone", "both"]
)


def segments(home: Path, code: str, log: str = "seg.log", **more: str) -> list[str]:
    """Run `code` with a log; -> its lines."""
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(home / log), **more})
    assert (done.stdout, done.stderr) == ("", "")
    return lines(home / log)


def lines(log: Path) -> list[str]:
    found = log.read_text().splitlines() if log.exists() else []
    assert all(isinstance(parse(line), Segment) for line in found)
    return found


@LOADED
def test_a_segment_is_one_line(home: Path, load: tuple[Path, ...]) -> None:
    code = "zf::segment::start a/b+c\nzf::segment::end a/b+c || print bad\n"
    code += "_zsh_perf_segment_start old prompt; _zsh_perf_segment_end old; print -r -- $?"
    log = home / "seg.log"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log), "PERF_SAMPLE_CONTEXT": "cold"}, load)
    assert (done.stdout, done.stderr) == ("0\n", "")
    text = re.sub(r"ms=\d+", "ms=0", log.read_text())
    assert text == (
        "SEGMENT name=a/b+c ms=0 phase=core sample=cold\n"
        "SEGMENT name=old ms=0 phase=prompt sample=cold\n"
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("S x; E x; E x; S x; E x", ["x core"]),
        ("S; S ''; E; E ''; E never", []),
        ("S x prompt; S x core; E x", ["x prompt"]),
        ("S x prompt; E x postprompt", ["x postprompt"]),
        ("S x nonsense; E x", ["x core"]),
        ("S x prompt; E x nonsense", ["x core"]),
        ("S x idle; E x", ["x idle"]),
        ("S 'Ünïx Thing'; E 'Ünïx Thing'", ["n_x_thing core"]),
        ("S -./Sub/Dir; E -./Sub/Dir", ["sub/dir core"]),
        ("S '***'; E '***'", []),
        ("S 'a\nb]c'; E 'a\nb]c'", ["a_b_c core"]),
        ("S ${(l:80::a:)}; E ${(l:80::a:)}", ["a" * 64 + " core"]),
        ("S ${(l:64::a:)}; E ${(l:80::a:)}", ["a" * 64 + " core"]),
    ],
)
def test_labels_and_phases(code: str, expected: list[str], home: Path) -> None:
    code = 'S() { zf::segment::start "$@" }; E() { zf::segment::end "$@" }\n' + code.replace(
        "start x", "S x"
    )
    found = [parse(line) for line in segments(home, code)]
    assert [f"{one.name} {one.phase}" for one in found if isinstance(one, Segment)] == expected


@pytest.mark.parametrize("seconds", ["3", "10", "946684803"])
def test_a_clock_that_was_reset_is_told_as_it_is(seconds: str, home: Path) -> None:
    """To 1970 or 2000, as where a battery is empty."""
    later = f"1{seconds}"
    code = f"""
_zdeferd_clock='{seconds}%D{{%9.}}'
zf::segment::anchor pre_plugin_start
zf::segment::start x; zf::segment::end x
zf::segment::start y prompt inline; zf::segment::end y
_zdeferd_clock='{later}%D{{%9.}}'
.zdeferd-prompt-ready {later}000000000 1
"""
    found = [line.split(" sample")[0] for line in segments(home, code, ZSH_LOG_STRUCTURED="1")]
    assert [re.sub(r"ms=\d{1,3} ", "", line) for line in found[:3]] == [  # of a busy machine too
        "SEGMENT name=pre_plugin_start phase=pre_plugin",
        "SEGMENT name=x phase=core",
        "SEGMENT name=y phase=prompt",
    ]
    assert int(found[3].split()[2][3:]) // 1000 in range(int(later) - int(seconds) + 1)
    sidecar = [json.loads(line) for line in (home / "seg.jsonl").read_text().splitlines()]
    assert [one["ts"] // 1000 for one in sidecar] == [int(seconds)] * 3 + [int(later)]


def test_time_is_measured_whole_and_never_negative(home: Path) -> None:
    wait = "zmodload zsh/zselect; zselect -t 5 || :"
    code = f"zf::segment::start x; {wait}; zf::segment::end x\nzf::segment::start y\n"
    code += "_zdeferd_segments[y]='4995651350539000000 core'; zf::segment::end y"
    first, second = segments(home, code)
    assert 50 <= int(first.split()[2][3:]) < LIMIT_S * 1000
    assert " ms=0 " in second


@pytest.mark.parametrize("context", ["", "two words", "a/b", "x" * 65, "ü"])
def test_a_bad_sample_is_unknown(context: str, home: Path) -> None:
    (line,) = segments(
        home, "zf::segment::start x; zf::segment::end x", PERF_SAMPLE_CONTEXT=context
    )
    assert line.endswith(" sample=unknown")


def test_wrap_runs_the_command_as_the_shell_would(home: Path) -> None:
    code = """
setopt ksh_arrays
settings() { setopt sh_word_split; unsetopt ksh_arrays; made=1; return 3 }
zf::segment::wrap w -- settings; print $? $made
[[ -o sh_word_split && ! -o ksh_arrays ]] && print kept
zf::segment::wrap W/2 postprompt -- print 'two  words' '' x
zf::segment::wrap w -- print again
zf::segment::wrap none; print $?
zf::segment::wrap none --; print $?
zf::segment::wrap none prompt --; print $?
zf::segment::wrap; print $?
_zsh_perf_segment_wrap old -- false; print $?
zf::segment::wrap out -- zf::segment::wrap in -- print nested
"""
    log = home / "seg.log"
    for env in ({}, {"PERF_SEGMENT_LOG": str(log)}):
        done = run_zsh(code, home, env)
        expected = "3 1\nkept\ntwo  words  x\nagain\n1\n1\n1\n1\n1\nnested\n"
        assert (done.stdout, done.stderr) == (expected, "")
    found = [line.split()[1:4:2] for line in lines(log)]
    assert found == [
        ["name=w", "phase=core"],
        ["name=w/2", "phase=postprompt"],
        ["name=old", "phase=core"],
        ["name=in", "phase=core"],
        ["name=out", "phase=core"],
    ]


def test_source_times_a_file(home: Path) -> None:
    (home / "part.zsh").write_text("setopt ksh_arrays\nset -- q\nglobal=1\nreturn 4\n")
    code = """
zf::segment::source essential/part part.zsh; print $? $global
[[ -o ksh_arrays ]] && print kept
_zsh_perf_source_probe old part.zsh prompt; print $?
zf::segment::source none missing.zsh; print $?
zf::segment::source none /; print $?
zf::segment::source none; print $?
"""
    log = home / "seg.log"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log)})
    assert (done.stdout, done.stderr) == ("4 1\nkept\n4\n0\n0\n0\n", "")
    assert [line.split()[1:4:2] for line in lines(log)] == [
        ["name=essential/part", "phase=post_plugin"],
        ["name=old", "phase=prompt"],
    ]


def test_the_older_with_timing(home: Path) -> None:
    code = "zf::with_timing a false; print $?; zf::with_timing a; print $?\n"
    code += "ZF_WITH_TIMING_SEGMENTS=1; zf::with_timing b print hi; print $?"
    log = home / "seg.log"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log), "PERF_SAMPLE_CONTEXT": "cold"})
    assert (done.stdout, done.stderr) == ("1\n1\nhi\n0\n", "")
    assert re.sub(r"ms=\d+", "ms=0", log.read_text()) == (
        "SEGMENT name=b ms=0 phase=core sample=inline\n"
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("pre_plugin_start pre_plugin_start", ["pre_plugin_start"]),
        ("pre_plugin_total post_plugin_total", []),
        ("nonsense", []),
        (
            "pre_plugin_start pre_plugin_total post_plugin_total pre_plugin_total",
            ["pre_plugin_start", "pre_plugin_total", "post_plugin_total"],
        ),
        ("pre_plugin_start post_plugin_total", ["pre_plugin_start", "post_plugin_total"]),
    ],
)
def test_anchors(names: str, expected: list[str], home: Path) -> None:
    found = segments(home, f"for name in {names}; do zf::segment::anchor $name; done")
    assert [line.split()[1].removeprefix("name=") for line in found] == expected
    for line in found:
        phase = "pre_plugin" if "name=pre" in line else "post_plugin"
        assert f" phase={phase} " in line
    assert all(" ms=0 " in line for line in found[:1])


def test_segments_that_are_switched_off(home: Path) -> None:
    code = "for name in a b c/1 c/2 d; do zf::segment::start $name; zf::segment::end $name; done\n"
    code += "zf::segment::anchor pre_plugin_start"
    off = "a, c/*,[ \t<1-,pre_*"
    found = segments(home, code, ZSH_SEGMENTS_DISABLE=off)
    assert [line.split()[1] for line in found] == ["name=b", "name=d"]


def test_the_sidecar_byte_for_byte(home: Path) -> None:
    code = "zf::segment::start x; zf::segment::end x"
    segments(home, code, ZSH_LOG_STRUCTURED="1")
    text = (home / "seg.jsonl").read_text()
    assert re.sub(r'"ts":\d{13}\}', '"ts":1700000000000}', re.sub(r'"ms":\d+', '"ms":0', text)) == (
        '{"type":"segment","name":"x","ms":0,"phase":"core","sample":"unknown","ts":1700000000000}\n'
    )


@pytest.mark.parametrize(
    ("log", "named", "expected"),
    [
        ("a.log", "", "a.jsonl"),
        ("noext", "", "noext.jsonl"),
        (".hidden", "", ".hidden.jsonl"),
        ("a.b/c", "", "a.b/c.jsonl"),
        ("x.jsonl", "", "x.jsonl.jsonl"),
        ("a.log", "other.json", "other.json"),
        ("a.log", "a.log", "a.jsonl"),
    ],
)
def test_where_the_sidecar_is(log: str, named: str, expected: str, home: Path) -> None:
    (home / "a.b").mkdir()
    more = {"PERF_SEGMENT_JSON_LOG": str(home / named)} if named else {}
    segments(home, "zf::segment::start x; zf::segment::end x", log, ZSH_LOG_STRUCTURED="1", **more)
    (line,) = (home / expected).read_text().splitlines()
    assert json.loads(line)["name"] == "x"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("/dev/null", ""),
        ("/dev/stderr", ""),
        ("/proc/self/fd/2", ""),
        ("/dev/shm/s.log", "/dev/shm/s.jsonl"),
        ("/devices/s.log", "/devices/s.jsonl"),
    ],
)
def test_beside_a_device_is_no_sidecar(log: str, expected: str, home: Path) -> None:
    code = "zf::segment::start 'odd label'; .zdeferd-sidecar; print -r -- $_zdeferd_sidecar"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": log, "ZSH_LOG_STRUCTURED": "1"})
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


@pytest.mark.parametrize("structured", ["", "0", "true"])
def test_without_the_sidecar_not_a_byte_of_json(structured: str, home: Path) -> None:
    code = "zf::segment::start x; zf::segment::end x"
    segments(home, code, ZSH_LOG_STRUCTURED=structured, ZSH_PERF_JSON="1")
    assert not list(home.glob("*.json*"))


@LOADED
def test_without_a_log_nothing_is_read_and_nothing_written(
    home: Path, load: tuple[Path, ...]
) -> None:
    code = "zf::segment::start x; zf::segment::end x; zf::segment::anchor pre_plugin_start\n"
    code += "(( ! $+functions[.zdeferd-append] )) && print unread; print ${#_zdeferd_segments}"
    done = run_zsh(code, home, {"ZSH_LOG_STRUCTURED": "1"}, load)
    assert (done.stdout, done.stderr) == ("unread\n0\n", "")
    assert [path.name for path in home.iterdir()] == ["script.zsh"]


BAD_LOGS = ["missing folder", "fifo", "link", "folder", "read-only", "/dev/null", "/dev/full"]


@pytest.mark.parametrize("kind", BAD_LOGS)
def test_a_bad_log_is_given_up_silently(kind: str, home: Path) -> None:
    log = home / "seg.log"
    match kind:
        case "missing folder":
            log = home / "none/seg.log"
        case "fifo":
            os.mkfifo(log)
        case "link":
            log.symlink_to(home / "elsewhere")
        case "folder":
            log.mkdir()
        case "read-only":
            if os.getuid() == 0:
                pytest.skip("root writes to what is read-only")
            log.touch(0o400)
        case _:
            log = Path(kind)
    code = "zf::segment::start x; zf::segment::end x; print $?; zf::warn said; print $?"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log)})
    assert (done.stdout, done.stderr) == ("0\n0\n", "[zf][WARN] said\n")
    assert not (home / "elsewhere").exists()
    if log.is_file():
        assert log.stat().st_size == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("structured", ["", "1"])
def test_nothing_is_made_in_the_home_of_another_user(structured: str, home: Path) -> None:
    os.chown(home, 12345, -1)
    log = home / "seg.log"
    code = "for x in a b; do zf::segment::start $x; zf::segment::end $x; done; zf::warn said"
    env = {"PERF_SEGMENT_LOG": str(log), "ZSH_LOG_STRUCTURED": structured}
    env["ZSH_FEATURE_TELEMETRY"] = "1"
    before = {*home.iterdir(), home / "script.zsh"}
    run_zsh(code, home, env)
    assert {*home.iterdir()} == before
    log.touch()
    run_zsh(code, home, env)
    assert log.read_text().count("SEGMENT") == 2


def test_a_full_disk_costs_its_lines_alone(home: Path) -> None:
    """A quota of the file system is not to be had in a test; a file's size limit is as good."""
    log = home / "seg.log"
    log.write_text("# " + "x" * 1000 + "\n")
    code = (
        "trap '' XFSZ\nzf::segment::start a; zf::segment::end a; zf::segment::start b\n"
        "print -rn >here; _zdeferd_torn=$'\\n'; zf::segment::end b"
    )
    script = home / "script.zsh"
    script.write_text(f"source {PLUGIN}\n{code}\n")
    limit = 1003 + 20
    done = subprocess.run(
        ["zsh", "-f", script],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PERF_SEGMENT_LOG": str(log)},
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        timeout=200,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert log.stat().st_size <= limit
    assert log.read_text().startswith("# " + "x" * 1000 + "\n")


def test_a_line_behind_a_torn_one_begins_anew(home: Path) -> None:
    code = (
        "zf::segment::start a; zf::segment::end a\nprint -rn 'SEGMENT name=b' >>$PERF_SEGMENT_LOG\n"
    )
    code += "_zdeferd_torn=$'\\n'; zf::segment::start c; zf::segment::end c"
    code += "; zf::segment::start d; zf::segment::end d"
    log = home / "seg.log"
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log)})
    assert done.stderr == ""
    assert [line.split()[1] for line in log.read_text().splitlines()] == [
        *("name=a", "name=b", "name=c", "name=d")
    ]


@pytest.mark.parametrize(
    ("call", "begins"),
    [
        ("zf::segment::end b", "SEGMENT name=b ms="),
        ("zf::segment::end b prompt", "SEGMENT name=b ms="),
        ("zf::err said 2>/dev/null", "ERROR level=ERROR module=zsh"),
    ],
)
def test_a_line_that_the_disk_cut_is_not_glued_to_the_next(
    call: str, begins: str, home: Path
) -> None:
    log = home / "seg.log"
    log.write_text("# " + "x" * 1001 + "\n")  # 20 bytes below 2 blocks
    code = (
        "trap '' XFSZ\nzf::segment::start a; zf::segment::start b\nulimit -S -f 2\n"
        "zf::segment::end a\nulimit -S -f unlimited\n" + call
    )
    done = run_zsh(code, home, {"PERF_SEGMENT_LOG": str(log)})
    assert (done.stdout, done.stderr) == ("", "")
    _, piece, line = log.read_text().splitlines()
    assert len(piece) == len("SEGMENT name=a ms=0 ")
    assert piece.startswith("SEGMENT name=a ms=")
    assert line.startswith(begins)


@pytest.mark.parametrize("log", ["seg.log", "none/seg.log", "cut.log"])
def test_the_sidecar_has_its_line_once_whatever_becomes_of_the_log(log: str, home: Path) -> None:
    (home / "cut.log").write_text("# " + "x" * 1001 + "\n")
    code = (
        "zf::segment::start a; zf::segment::end a\ntrap '' XFSZ\n[[ $PERF_SEGMENT_LOG != *cut* ]]"
        " || ulimit -S -f 2\nfor n in b c; do zf::segment::start $n; zf::segment::end $n; done"
    )
    env = {"PERF_SEGMENT_LOG": str(home / log), "PERF_SEGMENT_JSON_LOG": str(home / "side.json")}
    done = run_zsh(code, home, env | {"ZSH_LOG_STRUCTURED": "1"})
    assert (done.stdout, done.stderr) == ("", "")
    found = [line for line in (home / "side.json").read_text().splitlines() if line]
    assert [json.loads(line)["name"] for line in found] == ["a", "b", "c"]


def test_a_line_of_the_sidecar_that_the_disk_cut_is_not_written_again(home: Path) -> None:
    (home / "seg.jsonl").write_text("# " + "x" * 1001 + "\n")  # 20 bytes below 2 blocks
    code = (
        "trap '' XFSZ; for n in a b; do zf::segment::start $n; done\n"
        ".zdeferd-begin; .zdeferd-sidecar\nulimit -S -f 2; zf::segment::end a\n"
        "ulimit -S -f unlimited; zf::segment::end b"
    )
    env = {"PERF_SEGMENT_LOG": str(home / "seg.log"), "ZSH_LOG_STRUCTURED": "1"}
    done = run_zsh(code, home, env)
    assert (done.stdout, done.stderr) == ("", "")
    assert re.findall(r"name=\w", (home / "seg.log").read_text()) == ["name=a", "name=b"]
    _, piece, line = (home / "seg.jsonl").read_text().splitlines()
    assert piece == '{"type":"segment","n'
    assert json.loads(line)["name"] == "b"


def test_what_is_usual_reads_no_file(home: Path) -> None:
    log = home / "seg.log"
    code = "for n in a b; do zf::segment::start $n core; zf::segment::end $n; done\n"
    code += "zf::segment::start none/such; (( $+functions[.zdeferd-append] )); print $?"
    env = {"PERF_SEGMENT_LOG": str(log), "PERF_SAMPLE_CONTEXT": "cold"}
    assert run_zsh(code, home, env).stdout == "1\n"
    assert [line.split()[1] for line in lines(log)] == ["name=a", "name=b"]


TRAPS = [
    "trap 'print -r -- debug' DEBUG",
    "setopt no_debug_before_cmd; trap 'print -r -- debug' DEBUG",
    "trap 'print -r -- failed' ZERR",
]


@pytest.mark.parametrize("structured", ["", "1"])
@pytest.mark.parametrize("log", ["seg.log", "none/seg.log"])
@pytest.mark.parametrize("traps", TRAPS)
def test_no_trap_sees_what_is_inside(traps: str, log: str, structured: str, home: Path) -> None:
    """Beside functions that do nothing."""
    calls = (
        "zf::segment::start a\nzf::segment::start a\nzf::segment::end a\nzf::segment::end a\n"
        "zf::segment::start b; zf::segment::end b\nzf::segment::start B prompt x\n"
        "zf::segment::end B idle\nzf::segment::end never\nzf::segment::start\n"
        "zf::segment::anchor pre_plugin_start\nzf::segment::anchor none\nf() { :; }\n"
        "zf::defer::register job f postprompt about\n_zdeferd_armed=0\n"
        "zf::defer::register other f idle\nzf::defer::register bad 2>/dev/null || :\n"
    )
    names = "zf::segment::start zf::segment::end zf::segment::anchor zf::defer::register"
    env = {"PERF_SEGMENT_LOG": str(home / log), "ZSH_LOG_STRUCTURED": structured}
    count = "print -ru2 -- ${#_zdeferd_queue}"
    expected = run_zsh(f"{names}() {{ }}\n{traps}\n{calls}{count}", home, env)
    done = run_zsh(f"{traps}\n{calls}{count}", home, env)
    assert (done.stdout, done.stderr) == (expected.stdout, "2\n")
    if log == "seg.log":
        found = [line.split()[1] for line in lines(home / log)]
        assert found == ["name=a", "name=b", "name=pre_plugin_start"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("load", [(PLUGIN,), BOTH], ids=["plugin", "both"])
def test_segments_work_and_are_not_noticed_under(
    name: str, load: tuple[Path, ...], home: Path
) -> None:
    code = (
        "echoed() { : ran; }\n"
        "zf::segment::start a || :; zf::segment::end a || :; zf::segment::wrap b -- echoed || :\n"
        "zf::segment::anchor pre_plugin_start || :; zf::segment::source c part.zsh || :\n"
        "zf::with_timing d echoed || :\n"
    )
    (home / "part.zsh").write_text(": part\n")
    log = home / "seg.log"
    env = {"PERF_SEGMENT_LOG": str(log), "ZF_WITH_TIMING_SEGMENTS": "1"}
    state = "print -r -- end >&3; setopt >&3; print -rl -- ${(kv)options} >&3\n"
    done = run_zsh(f"{code}exec 3>after\n{state}", home, env, load, before=HOSTILE[name])
    if "tra" not in name and "DEBUG" not in name and name not in ("verbose", "EXIT trap"):
        assert done.stderr == ""
    assert [line.split()[1] for line in lines(log)] == [
        *("name=a", "name=b", "name=pre_plugin_start", "name=c", "name=d")
    ]
    run_zsh(f"exec 3>before\n{state}", home, env, (), before=HOSTILE[name])
    assert (home / "after").read_text() == (home / "before").read_text()


@pytest.mark.parametrize("load", [(PLUGIN,), (FEATURES,)], ids=["plugin", "features"])
def test_an_alias_for_a_brace_changes_nothing(load: tuple[Path, ...], home: Path) -> None:
    (home / "part.zsh").write_text("print part\n")
    code = """
print $?
zf::segment::wrap a -- print wrapped; zf::segment::source b part.zsh; zf::with_timing c print timed
_zsh_perf_segment_wrap d -- false; print $?
_zsh_perf_source_probe e part.zsh; zdefer add f -- true; print $?
"""
    log = home / "seg.log"
    env = {"PERF_SEGMENT_LOG": str(log), "ZF_WITH_TIMING_SEGMENTS": "1"}
    before = "alias '{'=nonsense '}'=nonsense"
    done = run_zsh(code, home, env, load, before=before)
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        ["0", "wrapped", "part", "timed", "1", "part", "0"],
    )
    assert [line.split()[1][5:] for line in lines(log)] == ["a", "b", "c", "d", "e"]


def until_ready(shell: Terminal) -> None:
    """Run commands until ZLE has waited for keys: a key that is there comes first."""
    for _ in range(100):
        if shell.ask("${_zdeferd[ready]-none}.") != "none.":
            return
    raise AssertionError("zdeferd-kick was never called")


@pytest.mark.parametrize("anchor", ["", "zf::segment::anchor pre_plugin_start"])
def test_the_shim_says_when_the_prompt_is_ready(anchor: str, home: Path) -> None:
    log = home / "seg.log"
    zshrc = f"source {PLUGIN}\n{anchor}\nzmodload zsh/zselect; zselect -t 3"
    env = {"PERF_SEGMENT_LOG": str(log), "ZSH_LOG_STRUCTURED": "1"}
    with Terminal(home, zshrc, env=env) as shell:
        shell.prompt()
        assert shell.ask("$(( 6 * 7 ))") == "42"
        until_ready(shell)
        ready = [line for line in lines(log) if "name=prompt_ready" in line]
        assert len(ready) == 1
        found = parse(ready[0])
        assert isinstance(found, Segment)
        assert found.phase == "prompt"
        assert 30 <= found.ms < 5000
        assert '"name":"prompt_ready"' in (home / "seg.jsonl").read_text()


def test_prompt_ready_counts_from_the_plugin_where_the_log_is_named_behind_it(home: Path) -> None:
    log = home / "seg.log"
    wait = "zmodload zsh/zselect; zselect -t 3"
    with Terminal(home, f"source {PLUGIN}\n{wait}\nPERF_SEGMENT_LOG={log}") as shell:
        shell.prompt()
        until_ready(shell)
        (line,) = lines(log)
        found = parse(line)
        assert isinstance(found, Segment)
        assert (found.name, found.phase) == ("prompt_ready", "prompt")
        assert 30 <= found.ms < 5000


def test_a_log_that_is_named_after_the_prompt_gets_no_prompt_ready(home: Path) -> None:
    with Terminal(home, f"source {PLUGIN}") as shell:
        shell.prompt()
        until_ready(shell)
        shell.run(f"PERF_SEGMENT_LOG={home}/seg.log")
        shell.run(":")
        shell.run("zf::segment::start x; zf::segment::end x")
        assert shell.ask("clock=$_zdeferd[ready]") == "clock="
        assert [line.split()[1] for line in lines(home / "seg.log")] == ["name=x"]


def test_no_fork_and_one_write(home: Path) -> None:
    script = home / "script.zsh"
    script.write_text(
        f"source {PLUGIN}\nsource {FEATURES}\nfor n in {{1..20}}; do zf::segment::start s$n; "
        "zf::segment::end s$n; done\nzf::segment::wrap w -- :\nzf::err x\n"
    )
    log = home / "seg.log"
    trace = home / "trace"
    done = subprocess.run(
        ["strace", "-f", "-s", "200", "-o", str(trace), "-e", CALLS, "zsh", "-f", str(script)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PERF_SEGMENT_LOG": str(log)},
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0
    text = trace.read_text()
    assert text.count("execve(") == 1
    assert not re.search(r"\b(clone3?|v?fork)\(", text)
    writes = re.findall(r'write\(\d+, "(SEGMENT|ERROR) [^"]*\\n"', text)
    assert len(writes) == len(log.read_text().splitlines()) == 22
