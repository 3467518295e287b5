"""Settings and jobs from files: what is taken, what is refused, what stays in force."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from zdeferd.errors import ConfigError
from zdeferd.jobs import files as config
from zdeferd.jobs.files import Loaded
from zdeferd.jobs.keys import JOB_KEYS, SETTING_KEYS, declared_job
from zdeferd.jobs.outputs import misplaced
from zdeferd.machine.paths import locate
from zdeferd.model import Argv, Code, Job, Retry, Scope, Trigger
from zdeferd.settings import Settings


class Files:
    """The configuration of one user, written by the test."""

    def __init__(self, home: Path) -> None:
        self.home = str(home)
        self.folder = home / ".config/zdeferd"
        (self.folder / "jobs.d").mkdir(parents=True)

    def settings(self, text: str) -> None:
        (self.folder / "config.toml").write_text(text)

    def jobs(self, text: str, name: str = "a.toml") -> Path:
        path = self.folder / "jobs.d" / name
        path.write_text(text)
        return path

    def load(self, previous: Loaded | None = None) -> Loaded:
        return config.load(locate({"HOME": self.home}), previous)

    def problems(self, previous: Loaded | None = None) -> list[str]:
        """What was refused, with the folder's name left out."""
        found = self.load(previous).problems
        return [re.sub(rf"{self.folder}/(jobs\.d/)?", "", str(problem)) for problem in found]


@pytest.fixture
def files(home: Path) -> Iterator[Files]:
    umask = os.umask(0o022)
    yield Files(home)
    os.umask(umask)


def test_nothing_there_means_defaults(home: Path) -> None:
    assert config.load(locate({"HOME": str(home)})) == Loaded(Settings(), {}, ())


# --- settings ------------------------------------------------------------------


def test_every_setting(files: Files) -> None:
    files.settings(
        """
        idle_after = "90s"
        jobs_at_once = 2
        default_timeout = "5m"
        kill_grace = 1.5
        keep_runs = "30d"
        output_limit = "64KiB"
        exit_after = 60
        log = "~/log/deferred.log"
        state_dir = "$HOME/state/"
        """
    )
    assert files.load() == Loaded(
        Settings(
            idle_after_s=90,
            jobs_at_once=2,
            default_timeout_s=300,
            kill_grace_s=1.5,
            keep_runs_s=30 * 86400,
            output_limit_bytes=65536,
            exit_after_s=60,
            log=f"{files.home}/log/deferred.log",
            state_dir=f"{files.home}/state",
        ),
        {},
        (),
    )


def test_keys_and_model_agree() -> None:
    assert [key.field for key in SETTING_KEYS.values()] == list(Settings.__struct_fields__)
    own = [name for name in Job.__struct_fields__ if name not in ("id", "source", "call", "umask")]
    assert [key.field for key in JOB_KEYS.values()] == own


def test_bad_settings_are_all_named_with_their_lines(files: Files) -> None:
    files.settings('idle_after = "soon"\njobs_at_onc = 3\noutput_limit = "1KiB"\nlog = "x"\n')
    assert files.problems() == [
        "config.toml:1: idle_after: found 'soon'; expected a duration such as '20s', '5m', "
        "'2h', '90d', or a number of seconds, at least 1 s",
        "config.toml:2: jobs_at_onc: found an unknown key; expected `jobs_at_once`, perhaps",
        "config.toml:3: output_limit: found '1KiB'; expected a size such as '1MiB', "
        "at least 32 KiB",
        "config.toml:4: log: found 'x'; expected an absolute path, or one that begins with "
        "~/ or $HOME/",
    ]


def test_bad_settings_leave_the_last_good_ones_whole(files: Files) -> None:
    files.settings("jobs_at_once = 2")
    good = files.load()
    files.settings("jobs_at_once = 3\nidle_after = true")
    again = files.load(good)
    assert again.settings.jobs_at_once == 2
    assert len(again.problems) == 1


def test_at_the_start_what_is_right_counts(files: Files) -> None:
    files.settings('state_dir = "/s"\njobs_at_once = 0')
    assert files.load().settings == Settings(state_dir="/s")


def test_removed_settings_are_defaults_again(files: Files) -> None:
    files.settings("jobs_at_once = 2")
    good = files.load()
    (files.folder / "config.toml").unlink()
    assert files.load(good).settings == Settings()


# --- jobs ----------------------------------------------------------------------


def test_every_key_of_a_job(files: Files) -> None:
    path = files.jobs(
        """
        [docker-completion]
        run = "docker completion zsh"
        on = ["postprompt", "idle"]
        once_per = "change"
        watch = ["command:docker", "~/x", "${HOME}/y/*", "/z"]
        after = ["folder"]
        timeout = "20s"
        idempotent = true
        attempts = 2
        background = true
        env = { A = "1" }
        description = "completions"

        [folder]
        run = ["mkdir", "-p", "/tmp/x"]
        """
    )
    loaded = files.load()
    assert loaded.problems == ()
    assert list(loaded.jobs.values()) == [
        Job(
            id="docker-completion",
            run=Code("docker completion zsh"),
            on=(Trigger.POSTPROMPT, Trigger.IDLE),
            once_per=Scope.CHANGE,
            watch=("command:docker", f"{files.home}/x", f"{files.home}/y/*", "/z"),
            after=("folder",),
            timeout_s=20.0,
            idempotent=True,
            attempts=2,
            background=True,
            env={"A": "1"},
            description="completions",
            source=str(path),
        ),
        Job(id="folder", run=Argv(("mkdir", "-p", "/tmp/x")), source=str(path)),
    ]


def test_jobs_come_in_order_of_files_and_places(files: Files) -> None:
    files.jobs("b = { run = 'x' }\n[a]\nrun = 'x'\n", "10-z.toml")
    files.jobs("[z]\nrun = 'x'\n", "09.toml")
    files.jobs("[no]\nrun = 'x'\n", "notes.txt")
    files.jobs("[no]\nrun = 'x'\n", ".hidden.toml")
    assert list(files.load().jobs) == ["z", "b", "a"]


@pytest.mark.parametrize(
    ("text", "notify"), [("'prompt'", "prompt"), ("['/bin/tell', '-x']", ("/bin/tell", "-x"))]
)
def test_how_a_user_is_told(files: Files, text: str, notify: object) -> None:
    files.settings(f"notify = {text}\n")
    assert files.load().settings.notify == notify


@pytest.mark.parametrize("text", ["'loud'", "[]", "['']", "true", "[1]"])
def test_a_way_to_tell_that_is_none(files: Files, text: str) -> None:
    files.settings(f"notify = {text}\n")
    assert files.load().settings.notify == "off"
    [problem] = files.problems()
    assert "expected 'off', 'prompt', 'desktop', or a command" in problem


@pytest.mark.parametrize(
    ("text", "retry"),
    [
        ("{ attempts = 5, backoff = '1m' }", Retry(5, 60.0)),
        ("{ attempts = 2 }", Retry(2, 30.0)),
        ("{ backoff = 0.5 }", Retry(3, 0.5)),
        ("'4:2m'", Retry(4, 120.0)),
        ("'4'", Retry(4, 30.0)),
    ],
)
def test_how_a_job_is_tried_again(files: Files, text: str, retry: Retry) -> None:
    files.jobs(f"[a]\nrun = 'x'\nretry = {text}\n")
    assert files.load().jobs["a"].retry == retry


def test_idempotent_alone_means_three_attempts(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\nidempotent = true")
    assert files.load().jobs["a"].attempts == 3


BAD_KEYS = [
    ("run = []", "run: found []; expected zsh code as a string, or a command and"),
    ("run = ' '", "run: found ' '; expected zsh code"),
    ("run = ['']", "run: found ['']; expected"),
    ("run = { TOKEN = 'hunter2' }", "run: found a table; expected"),
    ("on = [{ TOKEN = 'hunter2' }]", "on: found an array; expected"),
    ("run = ['a', 1]", "run: found ['a', 1]; expected"),
    ('run = "a\\u0000b"', "run: found 'a\\x00b'; expected"),
    ("on = 'idle'", "on: found 'idle'; expected an array of triggers: 'postprompt', 'idle'"),
    ("on = []", "on: found []; expected an array"),
    ("on = ['boot']", "on: found ['boot']; expected an array"),
    ("once_per = 'week'", "once_per: found 'week'; expected one of 'shell', 'boot', 'day'"),
    ("once_per = 'change'", "once_per: found 'change' without `watch`; expected `watch`"),
    ("watch = ['/x']", "watch: found a list to watch; expected once_per = 'change'"),
    ("watch = ['x']\nonce_per = 'change'", "watch: found ['x']; expected an array of 'command:"),
    ("watch = ['command:']\nonce_per = 'change'", "watch: found ['command:']; expected"),
    ("watch = ['command:/x']\nonce_per = 'change'", "watch: found ['command:/x']; expected"),
    ("watch = ['env:A']\nonce_per = 'change'", None),
    ("watch = ['fpath:~/x']\nonce_per = 'change'", None),
    ("watch = ['fpath:x']\nonce_per = 'change'", "watch: found ['fpath:x']; expected"),
    ("watch = ['env:']\nonce_per = 'change'", "watch: found ['env:']; expected"),
    ("watch = ['env:1']\nonce_per = 'change'", "watch: found ['env:1']; expected"),
    ("watch = []\nonce_per = 'change'", "watch: found []; expected something to watch"),
    ("after = ['A']", "after: found ['A']; expected an array of ids"),
    ("timeout = '20'", None),
    ("timeout = '20 parsecs'", "timeout: found '20 parsecs'; expected a duration such as"),
    ("timeout = 0", "timeout: found 0; expected"),
    ("timeout = nan", "timeout: found nan; expected"),
    ("timeout = -1", "timeout: found -1; expected"),
    ("idempotent = 1", "idempotent: found 1; expected true or false"),
    ("attempts = 2", "attempts: found 2; expected idempotent = true beside it"),
    ("attempts = 0", "attempts: found 0; expected a whole number from 1 to 100"),
    ("attempts = true", "attempts: found true; expected"),
    ("retry = {}", "retry: found a table; expected { attempts = 3, backoff = '30s' }: 1 to 100"),
    ("retry = { attempts = 0 }", "retry: found a table in which attempts is an integer; expected"),
    ("retry = { tries = 3 }", "retry: found a table in which tries is an integer; expected"),
    ("retry = { backoff = '2h' }", "retry: found a table; expected"),
    ("retry = 3", "retry: found 3; expected"),
    ("env = { 'A B' = '1' }", "env: found a table; expected a table of strings, its keys names"),
    ("env = { A = 1 }", "env: found a table in which A is an integer; expected a table of strings"),
    ("description = 1", "description: found 1; expected a string"),
    ("output = 'x'", "output: found 'x'; expected a file below your home folder"),
    ("output = '~/x/../y'", "output: found '~/x/../y'; expected a file below"),
    ("output = '/etc/x'", "output: found a place outside your home folder; expected a file"),
    ("output = '~'", "output: found"),
    ("output = '~/x'\nbackground = true", "background: found true; expected no `output`"),
    ("compile = true", "compile: found true; expected `output` beside it"),
    ("apply = true", "apply: found true; expected `output` beside it"),
    ("output = '~/x'\ncheck = 'sh'", "check: found 'sh'; expected 'zsh' or 'init'"),
    ("when = {}", "when: found {}; expected a table with one or more of quiet, power, load_below"),
    ("when = 'ac'", "when: found a string; expected a table with one or more of quiet"),
    ("when = { power = 'mains' }", "when.power: found 'mains'; expected 'ac' or 'battery'"),
    ("when = { quiet = '0s' }", "when.quiet: found '0s'; expected a duration such as '30s'"),
    ("when = { load_below = 0 }", "when.load_below: found 0; expected a number above 0"),
    ("when = { online = false }", "when.online: found false; expected true, or no such key"),
    (
        "when = { not_before = '25:00' }",
        "when.not_before: found '25:00'; expected a duration after",
    ),
    ("when = { wind = 1 }", "when.wind: found an unknown key; expected one of quiet, power"),
    ("when = { deadline = 0 }", "when.deadline: found 0 s; expected a duration above 0"),
    (
        "when = { not_before = '2h', deadline = '1h' }",
        "when.deadline: found 3600 s beside not_before = 7200 s; expected an instant after",
    ),
    (
        "when = { not_before = '22:00', deadline = '8h' }",
        "when.deadline: found 28800 s beside not_before = '22:00'; expected both as durations",
    ),
    (
        "when = { not_before = '22:00', deadline = 22:00:00 }",
        "when.deadline: found '22:00' beside not_before = '22:00'; expected an instant after",
    ),
    ("timout = '20s'", "timout: found an unknown key; expected `timeout`, perhaps"),
    ("zzz = 1", "zzz: found an unknown key; expected one of run, on, once_per"),
]


@pytest.mark.parametrize(("text", "problem"), BAD_KEYS)
def test_bad_key_is_refused_with_its_line(files: Files, text: str, problem: str | None) -> None:
    key = text.split(" ")[0]
    run = "" if key == "run" else "run = 'x'\n"
    files.jobs(f"[good]\nrun = 'x'\n[bad]\n{run}{text}\n")
    problems = files.problems()
    assert list(files.load().jobs) == ["good", "bad"][: 1 + (problem is None)]
    if problem is not None:
        [found] = problems
        where, _, rest = found.partition(": bad.")
        lines = f"[good]\nrun = 'x'\n[bad]\n{run}{text}\n".split("\n")
        assert rest.startswith(problem)
        assert lines[int(where.removeprefix("a.toml:")) - 1].startswith(
            rest.split(":")[0].split(".")[0]
        )


def test_all_problems_of_all_files_at_once(files: Files) -> None:
    files.settings("jobs_at_once = 0")
    files.jobs("[a]\ntimeout = 0\nidempotent = 2\n", "a.toml")
    files.jobs("[b]\nrun = \n", "b.toml")
    files.jobs("top = 1\n[B]\nrun = 'x'\n", "c.toml")
    assert [problem.split("; ")[0] for problem in files.problems()] == [
        "config.toml:1: jobs_at_once: found 0",
        "a.toml:2: a.timeout: found 0",
        "a.toml:3: a.idempotent: found 2",
        "a.toml:1: a.run: found nothing",
        "b.toml:2: found a TOML error, Invalid value",
        "c.toml:1: top: found an integer",
        "c.toml:2: B: found 'B'",
    ]


def test_syntax_error_at_the_end_of_the_file_names_the_last_line(files: Files) -> None:
    files.jobs('[a]\nrun = "x')
    assert files.problems()[0].startswith("a.toml:2: found a TOML error")


TOO_DEEP = "found values nested too deeply; expected plain tables"
TOO_LARGE = "found an integer beyond 64 bits; expected a smaller number"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[a]\nrun = '\xff'\n", "a.toml:2: found bytes that are not UTF-8; expected UTF-8"),
        (b"#" * ((1 << 20) + 1), "a.toml: found 1048577 bytes; expected at most 1048576"),
        (
            b"\xef\xbb\xbf[a]\n",
            "a.toml:1: found a byte order mark (BOM); expected UTF-8 without it",
        ),
        (b"[a]\nb = " + b"[" * 9999, f"a.toml:2: a.b: {TOO_DEEP}"),
        (b"[a]\nb = " + b"[" * 99 + b"]" * 99, f"a.toml:2: a.b: {TOO_DEEP}"),
        (b"[a]\nb" + b".b" * 9999 + b" = 1\n", f"a.toml:2: a.b: {TOO_DEEP}"),
        (b"[a]\n\ntimeout = " + b"1" * 5000, f"a.toml:3: a.timeout: {TOO_LARGE}"),
        (b"[a]\nb = [\n-" + b"1_0" * 5000 + b"]", f"a.toml:3: a.b: {TOO_LARGE}"),
        (b"[a]\ntimeout = 0x" + b"f" * 5000, f"a.toml:2: a.timeout: {TOO_LARGE}"),
        (b"[a]\nenv = { X = 9223372036854775808 }", f"a.toml:2: a.env.X: {TOO_LARGE}"),
    ],
)
def test_unreadable_files(files: Files, data: bytes, problem: str) -> None:
    files.jobs("").write_bytes(data)
    assert files.problems() == [problem]


@pytest.mark.parametrize("value", ["1" * 5000, "0x" + "f" * 5000, "[" * 9999])
def test_a_value_that_python_cannot_take_leaves_what_was_good(files: Files, value: str) -> None:
    files.jobs("[a]\nrun = 'x'\n")
    files.settings("jobs_at_once = 3\n")
    before = files.load()
    files.jobs(f"[a]\nrun = 'x'\ntimeout = {value}\n")
    files.settings(f"jobs_at_once = {value}\n")
    after = files.load(before)
    assert (after.jobs, after.settings) == (before.jobs, before.settings)
    assert [problem.line for problem in after.problems] == [1, 3]


def test_an_id_of_another_file_is_taken(files: Files) -> None:
    files.jobs("[a]\nrun = 'first'\n", "1.toml")
    files.jobs("[b]\nrun = 'x'\n[a]\nrun = 'second'\n", "2.toml")
    loaded = files.load()
    assert loaded.jobs["a"].run == Code("first")
    assert list(loaded.jobs) == ["a", "b"]
    assert files.problems() == [
        "2.toml:3: a: found an id that is taken; expected another id than in 1.toml"
    ]


# --- what stays in force -------------------------------------------------------


def test_a_bad_job_stays_as_it_was_and_others_change(files: Files) -> None:
    files.jobs("[a]\nrun = 'old'\n[b]\nrun = 'old'\n")
    good = files.load()
    files.jobs("[a]\nrun = 'new'\n[b]\nrun = 'new'\ntimeout = 0\n")
    again = files.load(good)
    assert [job.run for job in again.jobs.values()] == [Code("new"), Code("old")]
    assert len(again.problems) == 1


def test_a_bad_file_leaves_its_jobs_as_they_were(files: Files) -> None:
    files.jobs("[a]\nrun = 'old'\n[b]\nrun = 'old'\n")
    good = files.load()
    files.jobs("[a]\nrun = \n")
    assert files.load(good).jobs == good.jobs


def test_removed_jobs_are_gone(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\n[b]\nrun = 'x'\n")
    path = files.jobs("[c]\nrun = 'x'\n", "c.toml")
    good = files.load()
    files.jobs("[a]\nrun = 'x'\n")
    path.unlink()
    assert list(files.load(good).jobs) == ["a"]


def test_an_unsafe_folder_leaves_all_jobs_as_they_were(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\n")
    good = files.load()
    folder = files.folder / "jobs.d"
    folder.chmod(0o777)
    again = files.load(good)
    assert again.jobs == good.jobs
    [problem] = again.problems
    assert str(problem) == f"others can write to it: {folder}: mode 0777; chmod go-w {folder}"


# --- cycles --------------------------------------------------------------------


def test_a_cycle_is_refused_by_name_and_the_rest_stays(files: Files) -> None:
    files.jobs(
        "[a]\nrun='x'\nafter=['b']\n[b]\nrun='x'\nafter=['c', 'no-such-job']\n"
        "[c]\nrun='x'\nafter=['a']\n[d]\nrun='x'\nafter=['a']\n"
    )
    assert list(files.load().jobs) == ["d"]
    assert files.problems()[0] == (
        "a.toml: a.after: found a cycle, a -> b -> c -> a; expected no job that waits for itself"
    )


def test_a_job_that_waits_for_itself_is_a_cycle(files: Files) -> None:
    files.jobs("[a]\nrun='x'\nafter=['a']\n")
    assert "a -> a" in files.problems()[0]


def test_only_what_closed_the_cycle_is_taken_back(files: Files) -> None:
    files.jobs("[a]\nrun='x'\nafter=['b']\n[b]\nrun='x'\n")
    good = files.load()
    files.jobs("[a]\nrun='x'\nafter=['b']\n[b]\nrun='x'\nafter=['a']\n[c]\nrun='y'\n")
    again = files.load(good)
    assert {id_: job.after for id_, job in again.jobs.items()} == {"a": ("b",), "b": (), "c": ()}
    assert [(problem.job, problem.key) for problem in again.problems] == [("b", "after")]


def test_what_was_good_alone_but_not_together_is_dropped(files: Files) -> None:
    first = files.jobs("[a]\nrun='x'\nafter=['b']\n", "1.toml")
    one = files.load()
    first.unlink()
    files.jobs("[b]\nrun='x'\nafter=['a']\n", "2.toml")
    both = Loaded(Settings(), {**one.jobs, **files.load().jobs}, ())
    files.jobs("[a]\nrun='x'\nafter=['b']\n", "1.toml")
    assert files.load(both).jobs == {}


# --- safety --------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_others_can_write_to_is_refused(files: Files, mode: int) -> None:
    path = files.jobs("[a]\nrun = 'x'\n")
    path.chmod(mode)
    assert files.load().jobs == {}
    assert files.problems() == [
        f"others can write to it: a.toml: mode {mode:04o}; chmod go-w a.toml"
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another group")
def test_a_file_that_another_group_can_write_to_is_refused(files: Files) -> None:
    path = files.jobs("[a]\nrun = 'x'\n")
    os.chown(path, -1, 12345)
    path.chmod(0o620)
    assert files.problems() == ["others can write to it: a.toml: mode 0620; chmod go-w a.toml"]


def test_files_made_with_umask_002_are_taken(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zdeferd.machine.files.private_group", os.getgid)
    files.jobs("[a]\nrun = 'x'\n").chmod(0o664)
    for folder in (files.folder, files.folder / "jobs.d"):
        folder.chmod(0o775)
    assert list(files.load().jobs) == ["a"]
    assert files.problems() == []


def test_all_that_others_can_write_to_is_named_at_once(files: Files, home: Path) -> None:
    files.settings("jobs_at_once = 2\n")
    for number in (1, 2):
        files.jobs(f"[job{number}]\nrun = 'x'\n", f"{number}.toml").chmod(0o666)
    for folder in (home / ".config", files.folder, files.folder / "jobs.d"):
        folder.chmod(0o777)
    assert [problem.split(";")[0] for problem in files.problems()] == [
        f"others can write to it: {home}/.config: mode 0777",
        f"others can write to it: {files.folder}: mode 0777",
        "others can write to it: jobs.d: mode 0777",
        "others can write to it: 1.toml: mode 0666",
        "others can write to it: 2.toml: mode 0666",
    ]


def test_a_target_that_others_could_exchange_is_refused(files: Files, home: Path) -> None:
    repository = home / "dotfiles/zdeferd/jobs"
    repository.mkdir(parents=True)
    (repository / "a.toml").write_text("[a]\nrun = 'x'\n")
    (files.folder / "jobs.d/a.toml").symlink_to(repository / "a.toml")
    assert list(files.load().jobs) == ["a"]
    (home / "dotfiles/zdeferd").chmod(0o777)
    assert files.load().jobs == {}
    assert files.problems() == [
        f"others can write to it: {home}/dotfiles/zdeferd: mode 0777; "
        f"chmod go-w {home}/dotfiles/zdeferd"
    ]


def test_a_file_of_a_sticky_store_is_taken(files: Files, home: Path) -> None:
    store = home / "nix/store"
    generation = store / "def-files"
    generation.mkdir(parents=True)
    (store / "abc-a.toml").write_text("[a]\nrun = 'x'\n")
    (store / "abc-a.toml").chmod(0o444)
    (generation / "a.toml").symlink_to(store / "abc-a.toml")
    (files.folder / "jobs.d/a.toml").symlink_to(generation / "a.toml")
    store.chmod(0o1777)
    assert list(files.load().jobs) == ["a"]
    store.chmod(0o777)  # not sticky: others could exchange the file
    [problem] = files.problems()
    assert "others can write to it" in problem
    assert "chmod" not in problem


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a link away")
def test_a_foreign_link_on_the_way_is_refused(files: Files, home: Path) -> None:
    (home / "a.toml").write_text("[a]\nrun = 'x'\n")
    link = files.folder / "jobs.d/a.toml"
    link.symlink_to(home / "a.toml")
    os.lchown(link, 12345, -1)
    assert files.problems()[0].startswith("not owned by you: a.toml: uid 12345;")


def test_links_in_a_circle_are_one_problem(files: Files) -> None:
    (files.folder / "jobs.d/a.toml").symlink_to("a.toml")
    files.jobs("[b]\nrun = 'x'\n", "b.toml")
    assert list(files.load().jobs) == ["b"]
    [problem] = files.problems()
    assert problem.startswith("cannot read: a.toml: Too many levels")


def test_a_file_that_others_can_read_is_fine(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\n").chmod(0o644)
    assert list(files.load().jobs) == ["a"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_foreign_file_is_refused(files: Files) -> None:
    os.chown(files.jobs("[a]\nrun = 'x'\n"), 12345, -1)
    assert files.problems()[0].startswith("not owned by you: a.toml: uid 12345;")


def test_symlinks_are_followed_and_what_they_lead_to_is_checked(files: Files, home: Path) -> None:
    dotfiles = home / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "jobs.toml").write_text("[a]\nrun = 'x'\n")
    (files.folder / "jobs.d/a.toml").symlink_to(dotfiles / "jobs.toml")
    assert list(files.load().jobs) == ["a"]
    dotfiles.chmod(0o777)
    assert files.load().jobs == {}
    (dotfiles / "jobs.toml").unlink()
    assert files.problems() == ["a.toml: found a symlink to nothing; expected a file"]


def test_what_is_no_file_is_refused_at_once(files: Files) -> None:
    os.mkfifo(files.folder / "jobs.d/fifo.toml")
    (files.folder / "jobs.d/folder.toml").mkdir()
    assert files.problems() == [
        "fifo.toml: found something that is not a regular file; expected a file",
        "folder.toml: found something that is not a regular file; expected a file",
    ]


# --- declared by a shell -------------------------------------------------------


def test_a_shell_s_declaration() -> None:
    job = declared_job(
        id="a",
        run=Code("x"),
        on=["idle"],
        once_per="change",
        watch=["/x"],
        after=["b"],
        timeout="20s",
        env={"A": "1"},
    )
    assert job == Job(
        id="a",
        run=Code("x"),
        on=(Trigger.IDLE,),
        once_per=Scope.CHANGE,
        watch=("/x",),
        after=("b",),
        timeout_s=20.0,
        env={"A": "1"},
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"id": "a/b"}, "id: found 'a/b'; expected an id"),
        ({"id": "a\n"}, "id: found 'a\\n'; expected an id"),
        ({"on": ["boot"]}, "a.on: found"),
        ({"once_per": "week"}, "a.once_per: found 'week'"),
        ({"once_per": "change"}, "a.watch: found []; expected something"),
        ({"watch": ["/x"]}, "a.watch: found a list"),
        ({"timeout": "soon"}, "a.timeout: found 'soon'"),
        ({"after": ["A"]}, "a.after: found"),
        ({"env": {"A-B": ""}}, "a.env: found"),
    ],
)
def test_a_shell_s_bad_declaration(bad: dict[str, object], message: str) -> None:
    good = {"id": "a", "run": Code("x"), "on": ["idle"], "once_per": "shell"}
    with pytest.raises(ConfigError) as caught:
        declared_job(**{**good, **bad})  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


# --- the configuration in force ------------------------------------------------------------


def test_a_configuration_is_read_again_only_where_that_is_needed(files: Files) -> None:
    files.jobs('[a]\nrun = "true"\n')
    configuration = config.Configuration(locate({"HOME": files.home}))
    assert not configuration.reload(only_if_changed=True)
    assert configuration.reload()
    files.jobs('[b]\nrun = "true"\n', "b.toml")
    assert list(configuration.jobs) == ["a"]
    assert configuration.reload(only_if_changed=True)
    assert list(configuration.jobs) == ["a", "b"]


def test_a_configuration_keeps_what_was_good(files: Files) -> None:
    files.settings('log = "/tmp/lines.log"\n')
    configuration = config.Configuration(locate({"HOME": files.home}))
    files.settings("log = 7\n")
    assert configuration.reload(only_if_changed=True)
    assert configuration.default_log == "/tmp/lines.log"
    assert [problem.key for problem in configuration.problems] == ["log"]


def test_the_default_log_is_in_the_state_folder(files: Files) -> None:
    configuration = config.Configuration(locate({"HOME": files.home}))
    assert configuration.default_log == f"{files.home}/.local/state/zdeferd/deferred.log"


def changed(configuration: config.Configuration) -> bool:
    """Whether a look at the files takes something in; a second look takes in nothing."""
    found = configuration.reload(only_if_changed=True)
    assert not configuration.reload(only_if_changed=True)
    return found


def test_a_file_that_is_renamed_away_is_gone(files: Files) -> None:
    path = files.jobs('[a]\nrun = "true"\n')
    configuration = config.Configuration(locate({"HOME": files.home}))
    path.rename(path.with_suffix(".toml.off"))
    assert changed(configuration)
    assert configuration.jobs == {}


def test_an_editor_s_lock_hides_no_edit(files: Files) -> None:
    files.jobs('[a]\nrun = "old"\n')
    (files.folder / "jobs.d/.#a.toml").symlink_to("ada@host.4711:1700000000")
    configuration = config.Configuration(locate({"HOME": files.home}))
    assert configuration.problems == ()
    files.jobs('[a]\nrun = "new"\n')
    assert changed(configuration)
    assert configuration.jobs["a"].run == Code("new")


def test_a_link_to_nothing_hides_no_edit_and_heals(files: Files) -> None:
    (files.folder / "jobs.d/0.toml").symlink_to(files.folder / "later")
    configuration = config.Configuration(locate({"HOME": files.home}))
    files.jobs('[a]\nrun = "true"\n')
    assert changed(configuration)
    assert list(configuration.jobs) == ["a"]
    assert [p.found for p in configuration.problems] == ["a symlink to nothing"]
    (files.folder / "later").write_text('[b]\nrun = "true"\n')
    assert changed(configuration)
    assert list(configuration.jobs) == ["b", "a"]


@pytest.mark.parametrize("name", ["jobs.d/a.toml", "jobs.d", "."])
def test_chmod_as_advised_heals_without_a_reload(files: Files, name: str) -> None:
    files.jobs('[a]\nrun = "true"\n')
    place = files.folder / name
    mode = place.stat().st_mode & 0o777
    place.chmod(mode | 0o002)
    configuration = config.Configuration(locate({"HOME": files.home}))
    assert configuration.jobs == {}
    place.chmod(mode)
    assert changed(configuration)
    assert list(configuration.jobs) == ["a"]
    assert configuration.problems == ()


def test_a_change_behind_a_link_is_seen(files: Files, home: Path) -> None:
    for name in ("one", "two"):
        (home / name).mkdir()
        (home / name / "a.toml").write_text(f'[a]\nrun = "{name}"\n')
        os.utime(home / name / "a.toml", (1, 1))
    (home / "generation").symlink_to("one")
    (files.folder / "jobs.d/a.toml").symlink_to(home / "generation/a.toml")
    configuration = config.Configuration(locate({"HOME": files.home}))
    (home / "generation").unlink()
    (home / "generation").symlink_to("two")
    assert changed(configuration)
    assert configuration.jobs["a"].run == Code("two")


def test_an_edit_that_keeps_size_and_time_is_seen(files: Files) -> None:
    path = files.jobs('[a]\nrun = "one"\n')
    os.utime(path, (1, 1))
    configuration = config.Configuration(locate({"HOME": files.home}))
    path.write_text('[a]\nrun = "two"\n')
    os.utime(path, (1, 1))
    assert changed(configuration)
    assert configuration.jobs["a"].run == Code("two")


def test_of_two_jobs_with_one_output_the_second_is_refused(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\noutput = '~/x'\n[b]\nrun = 'x'\noutput = '~/y'\n")
    files.jobs("[c]\nrun = 'x'\noutput = '$HOME/x'\n", "b.toml")
    loaded = files.load()
    assert list(loaded.jobs) == ["a", "b"]
    (problem,) = loaded.problems
    assert (problem.job, problem.key) == ("c", "output")
    assert problem.expected == "another file than that of a"


def test_an_output_in_a_bad_place_is_refused(files: Files, home: Path) -> None:
    (home / "out").symlink_to("/tmp")
    (home / "open").mkdir()
    (home / "open").chmod(0o777)
    (home / "folder").mkdir()
    os.mkfifo(home / "fifo")
    bad = {
        "out/x": "a link out of your home folder",
        "open/x": "a folder that others can write to",
        "folder": "something that is no regular file of yours",
        "fifo": "something that is no regular file of yours",
        "fifo/x": "a place below a file",
    }
    good = ["folder/x", "not/there/yet", ".zshrc"]
    names = [*bad, *good]
    text = "".join(f"[j{n}]\nrun = 'x'\noutput = '~/{name}'\n" for n, name in enumerate(names))
    files.jobs(text)
    loaded = files.load()
    assert list(loaded.jobs) == [f"j{n}" for n in range(len(bad), len(names))]
    for problem, found in zip(loaded.problems, bad.values(), strict=True):
        assert problem.found.startswith(found)


@pytest.mark.skipif(os.getuid() != 0, reason="only root's home is the root")
def test_all_is_below_a_home_that_is_the_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    for path in ("//.zdeferd-none/init/x.zsh", "/.zdeferd-none/x", "/etc/zdeferd-none"):
        assert misplaced(path, "/") == ""


def test_the_name_of_an_output_asks_for_its_check(files: Files) -> None:
    outputs = {"a.zsh": "zsh", "_a": "zsh", "a": "", "_d/a.txt": ""}
    lines = [f"[j{n}]\nrun = 'x'\noutput = '~/{name}'" for n, name in enumerate(outputs)]
    files.jobs("\n".join(lines))
    assert [job.check for job in files.load().jobs.values()] == list(outputs.values())


def test_a_nested_key_is_refused_with_its_own_line(files: Files) -> None:
    files.jobs("[a]\nrun = 'x'\n[a.when]\nquiet = '5m'\npower = 'mains'\n[a.env]\nB = 'c'\n")
    [found] = files.problems()
    assert found.startswith("a.toml:5: a.when.power: found 'mains'; expected 'ac' or 'battery'")
