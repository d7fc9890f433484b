"""What a schema cannot say about the figures of a paper: options, names and values that must fit the study."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from methods import registry
from methods.errors import ReproError
from methods.settings.check_sets import unknown
from methods.settings.figures import has_parts, named_methods, recipe_value
from methods.settings.parts import part_problems
from methods.settings.study import Study

# Figure options that every kind takes; the schema of papers describes them.
FIGURE_KEYS = (
    "kind",
    "benchmark",
    "caption",
    "methods",
    "scores",
    "sets",
    "seed",
    "also_on",
    "labels",
    "order",
    "width",
    "style",
)
# Packages that an option needs and that `make env` does not install: (option, value) -> (module, package)
EXTRAS = {("projection", "umap"): ("umap", "umap-learn")}

Figure = Mapping[str, Any]


def figure_problems(study: Study, name: str, paper: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the figures of the paper in ``papers/<name>.yaml``, one sentence each."""
    for key, figure in paper["figures"].items():
        place = f"papers/{name}.yaml.figures.{key}"
        found = part_problems("reporting.figures", "kind", figure, place, *FIGURE_KEYS)
        yield from found
        if found:
            continue
        yield from _options(study, place, figure)
        yield from _figure_scores(study, paper, place, figure)
        yield from _network_scores(study, place, figure)
        if figure["benchmark"] in study.evaluate and figure["benchmark"] in study.benchmarks:
            yield from _benchmarks(study, place, figure)
            yield from name_problems(study, place, figure)
            yield from _parts(study, place, figure)
            yield from _panels(study, place, figure)


def _record(entry: Figure) -> Mapping[str, Any]:
    return (registry.records("reporting.tables") | registry.records("reporting.figures"))[entry["kind"]]


def _options(study: Study, place: str, figure: Figure) -> Iterator[str]:
    seeds = study.config["seeds"]
    if figure.get("seed", seeds[0]) not in seeds:
        yield f"{place}.seed is {figure['seed']}, config.seeds has {seeds}"
    if "seed" in figure and "least_seeds" in _record(figure):
        yield f"{place} names a seed, but {figure['kind']} compares over {_record(figure)['least_seeds']}: leave it out"
    if isinstance(score := figure.get("score"), str) and figure["benchmark"] in study.evaluate:
        shown = {name for scores in study.evaluate[figure["benchmark"]].values() for name in scores}
        yield from unknown(f"{place}.score", score, shown)
    if isinstance(group := figure.get("group"), str) and "sets" in figure:
        yield f"{place} names the group {group!r} and sets: name one of them"
    if "panels" in figure and "methods" in figure:
        yield f"{place} names methods and panels: leave out methods, the panels name theirs"
    for (option, value), (module, package) in EXTRAS.items():
        if figure.get(option) == value and find_spec(module) is None:
            yield (
                f"{place}.{option} is {value}, which needs the Python package {package}: install it beside the others "
                f"(pip install {package}), or leave out {option}"
            )


def _benchmarks(study: Study, place: str, figure: Figure) -> Iterator[str]:
    """Further benchmarks are others, of the same task, and only for kinds that show several."""
    if "also_on" in figure and not _record(figure).get("several_benchmarks"):
        known = registry.records("reporting.figures")
        kinds = [name for name, record in known.items() if record.get("several_benchmarks")]
        yield f"{place} names further benchmarks (also_on), which {' and '.join(kinds)} alone can show"
        return
    for name in figure.get("also_on", ()):
        wrong = list(unknown(f"{place}.also_on", name, study.evaluate))
        yield from wrong
        if name == figure["benchmark"]:
            yield f"{place}.also_on names {name}, which the figure is about anyway: leave it out"
        elif not wrong and study.benchmarks[name]["task"] != study.benchmarks[figure["benchmark"]]["task"]:
            task = study.benchmarks[name]["task"]
            yield f"{place}.also_on names {name}, which is {task}: one figure shows benchmarks of one task"


def name_problems(study: Study, place: str, figure: Figure) -> Iterator[str]:
    """Own names and an order are for what the figure, or table, can show."""
    methods, benchmark = study.evaluate[figure["benchmark"]], study.benchmarks[figure["benchmark"]]
    known = {*methods, *benchmark["ood"], *(score for scores in methods.values() for score in scores)}
    for name in figure.get("order", ()):
        yield from unknown(f"{place}.order", name, known)
    groups = {group for part in benchmark["ood"].values() for group in part["groups"]}
    candidates = benchmark.get("outlier_selection", {}).get("candidates", ())
    classes = study.catalog.get(benchmark["in_distribution"]["dataset"], {"classes": []})["classes"]
    shown = classes if "classes" in _record(figure).get("parameters", ()) else ()
    if "also_on" in figure:
        more = [study.benchmarks[name]["ood"] for name in figure["also_on"] if name in study.benchmarks]
        known |= {figure["benchmark"], *figure["also_on"], *(dataset for ood in more for dataset in ood)}
    known |= {benchmark["in_distribution"]["dataset"], *groups, *candidates, *figure.get("panels", ()), *shown}
    for name in figure.get("labels", ()):
        yield from unknown(f"{place}.labels", name, known)
    for name in figure.get("classes", ()):
        yield from unknown(f"{place}.classes", name, classes)


def _known_recipe(study: Study, benchmark: str, method: str) -> bool:
    """Whether a method has a recipe whose objective is valid; what is wrong otherwise is said elsewhere."""
    objective = study.recipes.get((method, benchmark), {}).get("objective", {})
    return not part_problems("objectives", "name", objective, "")


def _parts(study: Study, place: str, figure: Figure) -> Iterator[str]:
    """Methods that are named have what the kind shows of them; of all, at least one has."""
    parts, benchmark = _record(figure).get("gives", ()), figure["benchmark"]
    named = named_methods(figure)
    methods = [m for m in named or study.evaluate[benchmark] if _known_recipe(study, benchmark, m)]
    having = [method for method in methods if has_parts(study, benchmark, method, parts)]
    for method in methods if named else ():
        if method not in having:
            yield f"{place} shows {' and '.join(parts)}, which {method} does not have: choose other methods"
    if parts and not named and not having:
        yield f"{place} shows {' and '.join(parts)}, which no method of {benchmark} has: leave the figure out"


def _panels(study: Study, place: str, figure: Figure) -> Iterator[str]:
    """Every panel is over a number that its recipes have, each another one."""
    benchmark = figure["benchmark"]
    for key, methods in figure.get("panels", {}).items():
        own = f"{place}.panels.{key}"
        wrong = [line for method in methods for line in unknown(own, method, study.evaluate[benchmark])]
        yield from wrong
        if wrong or not all(_known_recipe(study, benchmark, method) for method in methods):
            continue
        try:
            values = {method: recipe_value(study, benchmark, method, key) for method in methods}
        except ReproError as error:
            yield f"{own}: {error}"
            continue
        yield from _values(own, values, figure.get("spacing", "even"))


def _values(place: str, values: Mapping[str, Any], spacing: str) -> Iterator[str]:
    odd = {m: v for m, v in values.items() if isinstance(v, bool) or not isinstance(v, int | float)}
    for method, value in odd.items():
        yield f"{place} is {value!r} in the recipe {method}, expected a number"
    if odd:
        return
    for method, value in values.items():
        same = next(m for m, v in values.items() if v == value)
        if same != method:
            yield f"{place} is {value} in the recipes {same} and {method}: name one of them"
    if spacing == "log" and min(values.values()) <= 0:
        yield f"{place} has the value {min(values.values())}, which has no place on a logarithmic axis: spacing even"


def _network_scores(study: Study, place: str, figure: Figure) -> Iterator[str]:
    known = registry.records("scores")
    if _record(figure)["needs"] == "metrics":
        return
    for name in [*figure.get("scores", []), *filter(None, [figure.get("score")])]:
        record = known.get(study.scores.get(name, {}).get("score", ""), {})
        if "network" in record.get("needs", ()):
            yield f"{place} shows {name}, which needs the network: figures are drawn from scores on features"


def _figure_scores(study: Study, paper: Mapping[str, Any], place: str, figure: Figure) -> Iterator[str]:
    """Every method shown by scores must have one of those shown."""
    record = _record(figure)
    evaluated = paper["evaluate"].get(figure["benchmark"], study.evaluate.get(figure["benchmark"], {}))
    default = record["parameters"].get("score", {}).get("default")
    wanted = [figure.get("score", default)] if default else figure.get("scores", list(study.scores))
    for method in named_methods(figure) or evaluated if record["needs"] in ("scores", "metrics") else ():
        if not set(wanted) & set(evaluated.get(method, wanted)):
            yield f"{place} shows {', '.join(wanted)}, which {method} does not have: choose scores or methods"
