"""Times twenty features: the first prompt, beside the same functions called by hand.

Each .zshrc has the plugin and the same 20 functions. `by hand` calls them. `features`
registers them and runs the three phases. `measured` has a log, telemetry, and a segment
around each. Behind a hand-written .zshrc, the five features that come with it are read,
their inits called and their jobs registered by hand, or loaded. The order is timed inside
one zsh, for four shapes of dependencies, and grows from 10 features to 1,000.
"""

from collections.abc import Mapping
from pathlib import Path

from .contestants import PROLOGUE, US
from .screen import PROMPT, Screen, add_numbers
from .stage import Stage
from .values import Figure

ZSHRC = Path(__file__).with_name("handwritten.zsh")
SHIPPED = ("prompt-core", "history-adv", "completion-aug", "git-segment", "safety-boundaries")
COUNT = 20
HAND, MEASURED = "by hand", "measured"
SIZES = (10, 100, 200, 1000)
SHAPES = {
    "free": "feature_registry_add f$i $(( i % 3 + 1 ))",
    "chain": 'feature_registry_add f$i 2 "f$(( i - 1 ))"',
    "backwards": 'feature_registry_add f$i 2 "f$(( i + 1 ))"',
    "star": 'feature_registry_add f$i 2 "${${:-f$n}:#f$i}"',
}
FUNCTIONS = "".join(f"feature_f{n}_init() {{ f{n}=1 }}\n" for n in range(COUNT))
BY_HAND = "".join(f"feature_f{n}_init\n" for n in range(COUNT))
REGISTER = "".join(
    f"feature_registry_add f{n} 2 '' no misc 'about it' g-{n}\n" for n in range(COUNT)
)
PHASES = "for phase in preload init postprompt; do feature_registry_invoke_phase $phase; done\n"
SEGMENTS = "".join(f"zf::segment::start s{n}; zf::segment::end s{n}\n" for n in range(COUNT))


def measure(stage: Stage) -> list[Figure]:
    """The first prompt, and the order."""
    return [_prompt(stage), _zshrc(stage), *_order(stage)]


def _prompt(stage: Stage) -> Figure:
    figure = Figure(
        "features-prompt",
        "Twenty features: first prompt",
        "ms",
        "from the start of zsh to the prompt on the screen; `measured`: with telemetry, a log"
        " and 20 segments",
    )
    ways = {
        HAND: _home(stage, f"{FUNCTIONS}{BY_HAND}"),
        US: _home(stage, f"{FUNCTIONS}{REGISTER}{PHASES}", "features.zsh"),
        MEASURED: _home(
            stage, f"{FUNCTIONS}{REGISTER}{PHASES}{SEGMENTS}", "features.zsh", log=True
        ),
    }
    _add_first_prompts(stage, figure, ways)
    by_hand = figure.p50(HAND)
    figure.goal("over the calls by hand, p50, ms", figure.p50(US) - by_hand, 1.5)
    figure.goal("measured, over the calls by hand, p50, ms", figure.p50(MEASURED) - by_hand, 3)
    return figure


def _zshrc(stage: Stage) -> Figure:
    figure = Figure(
        "features-zshrc",
        "A hand-written .zshrc and five features: first prompt",
        "ms",
        "from the start of zsh to the prompt on the screen, the caches warm; `alone`: that"
        " file and the plugin",
    )
    folder = stage.shim / "features/shipped"
    read = "".join(f"source {folder}/{name}.zsh\n" for name in SHIPPED)
    inits = "".join(f"feature_{name}_init\n" for name in SHIPPED)
    jobs = "".join(
        f"zf::defer::register {name} feature_{name}_postprompt postprompt 'its deferred part'\n"
        for name in ("completion-aug", "git-segment")
    )
    load = "zsh-features load" + "".join(f" {folder}/{name}.zsh" for name in SHIPPED)
    before, after = f"source {ZSHRC}\n", "PROMPT='ready> '\n"
    ways = {
        "alone": _home(stage, before + after),
        HAND: _home(stage, f"{before}{read}{inits}{jobs}{after}"),
        US: _home(stage, f"{before}{load}\n{after}", "features.zsh"),
    }
    for env in ways.values():
        _first_prompt(env)  # the dump of compinit is made
    _add_first_prompts(stage, figure, ways)
    return figure


def _add_first_prompts(stage: Stage, figure: Figure, ways: Mapping[str, dict[str, str]]) -> None:
    """Start a shell of each way in turns, and give the figure what its prompt took."""
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for name in stage.rounds(list(ways), stage.size.shells):
        samples[name].append(_first_prompt(ways[name]))
    for name, values in samples.items():
        figure.add(name, values)


def _home(stage: Stage, code: str, more: str = "", log: bool = False) -> dict[str, str]:
    home, env = stage.home()
    sources = f"source {stage.shim}/zdeferd.plugin.zsh\n"
    if more:
        sources += f"source {stage.shim}/{more}\n"
    (home / ".zshrc").write_text(f"{PROLOGUE}bindkey -e\n{sources}{code}")
    if log:
        env |= {"ZSH_FEATURE_TELEMETRY": "1", "PERF_SEGMENT_LOG": f"{home}/perf.log"}
    return env


def _first_prompt(env: dict[str, str]) -> float:
    with Screen(env) as screen:
        return (screen.see(PROMPT) - screen.started) * 1000


def _order(stage: Stage) -> list[Figure]:
    figures = []
    for shape, line in SHAPES.items():
        figure = Figure(
            f"features-order-{shape}",
            f"Order of features, {shape}",
            "ms",
            "EPOCHREALTIME around feature_registry_resolve_order",
        )
        ways = {f"{count} features": _order_home(stage, line, count) for count in SIZES}
        add_numbers(figure, stage, ways, stage.size.shells)
        figure.goal("200 features, p50, ms", figure.p50("200 features"), 10)
        figures.append(figure)
    return figures


def _order_home(stage: Stage, line: str, count: int) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    (home / ".zshrc").write_text(
        f"{PROLOGUE}zmodload zsh/datetime\nsource {stage.shim}/features.zsh\ninteger i n={count}\n"
        f"for (( i = 1; i <= n; ++i )) do {line}; done\nfeature_registry_is_enabled f1\n"
        "feature_registry_resolve_order >/dev/null 2>&1\ntypeset -F 9 t=$EPOCHREALTIME\n"
        "feature_registry_resolve_order >/dev/null 2>&1\n"
        f"print $(( (EPOCHREALTIME - t) * 1000 )) >{home}/out\nexit\n"
    )
    return env, home / "out"
