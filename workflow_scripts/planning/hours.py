"""Hours of trainings from rates that finished trainings have measured or the user states, and of other jobs.

A training's hours are epochs x images x views / (images a second). A rate is taken, in this order, from what the user
states, from finished seeds of the same method on the same benchmark, and from trainings that do the same work at every
step: network, image size, objective, batch, augmentation. Without one the hours are unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from methods.csv_file import read_csv
from methods.errors import ReproError
from methods.provenance import canonical_json
from methods.registry import records
from methods.settings import steps
from methods.settings.study import Run, Study
from workflow_scripts.lines.remaining import Recorded

ANY = ""  # under which a rate for all methods is stated


@dataclass(frozen=True)
class Rate:
    """Images a second (views count), and where the number is from."""

    value: float
    source: str


@dataclass(frozen=True)
class Training:
    """Trainings of one method on one benchmark that will run.

    Attributes:
        runs: how many, over seeds and protocols.
        images: that one training will go through: epochs x images x views; None where the count is unknown.
        rate: None if nobody has measured or stated one.
    """

    benchmark: str
    method: str
    runs: int
    epochs: int
    images: int | None
    rate: Rate | None

    @property
    def hours(self) -> float | None:
        """Of all runs together, one after the other."""
        if self.rate is None or self.images is None:
            return None
        return self.runs * self.images / self.rate.value / 3600


def rates(arguments: list[str]) -> tuple[dict[str, float], list[str]]:
    """(method -> stated images a second, the other arguments).

    Raises:
        ReproError: a rate is no positive number.
    """
    stated, rest, waiting = {}, [], iter(arguments)
    for argument in waiting:
        if argument != "--rate":
            rest.append(argument)
            continue
        method, _, value = (text := next(waiting, "")).rpartition("=")
        if not value.replace(".", "", 1).isdigit() or float(value) <= 0:
            raise ReproError(f"--rate {text}: give images a second as a number, --rate 1200 or --rate adapt=900.")
        stated[method or ANY] = float(value)
    return stated, rest


def trainings(study: Study, runs: Iterable[Run], stated: Mapping[str, float]) -> list[Training]:
    """One entry a benchmark and method; imported checkpoints train nothing and are left out."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if "checkpoint" not in study.recipe(run):
            found.setdefault((run.benchmark, run.method), []).append(run)
    measured = list(measured_rates(study))
    return [
        Training(
            benchmark=benchmark,
            method=method,
            runs=len(same),
            epochs=study.recipe(same[0])["epochs"],
            images=_images(study, same[0]),
            rate=_rate(study, same[0], stated, measured),
        )
        for (benchmark, method), same in sorted(found.items())
    ]


def _images(study: Study, run: Run) -> int | None:
    recipe, (dataset, split) = study.recipe(run), steps.train_sets(study, run)["train"]
    count = study.catalog[dataset]["splits"][split].get("count")
    views = records("objectives")[recipe["objective"]["name"]]["views"]
    return None if count is None else recipe["epochs"] * count * views


def measured_rates(study: Study) -> Iterable[tuple[Run, Rate]]:
    """What finished trainings of the study's runs have measured, from their ``cost.csv``."""
    results = Path(study.config["results"]["folder"])
    for name in study.evaluate:
        for run in study.runs(name):
            path = results / "runs" / run.benchmark / run.method / run.protocol / f"seed{run.seed}" / "cost.csv"
            cost = read_csv(path)[0] if path.is_file() else {}
            if (value := float(cost.get("images_per_second") or 0)) > 0:
                yield run, Rate(value, f"measured on {cost['device']}")


def _rate(study: Study, run: Run, stated: Mapping[str, float], measured: Sequence[tuple[Run, Rate]]) -> Rate | None:
    if (value := _stated(study, run, stated)) is not None:
        return Rate(value, "stated")
    own = [rate for other, rate in measured if (other.benchmark, other.method) == (run.benchmark, run.method)]
    like = [rate for other, rate in measured if _work(study, other) == _work(study, run)]
    if not own and not like:
        return None
    chosen = own or like
    return Rate(sum(rate.value for rate in chosen) / len(chosen), chosen[-1].source)


def _stated(study: Study, run: Run, stated: Mapping[str, float]) -> float | None:
    """What is stated for benchmark/method, for the method, for another one that does the same work, or for all."""
    for key in (f"{run.benchmark}/{run.method}", run.method):
        if key in stated:
            return stated[key]
    for other in study.runs(run.benchmark):
        if _work(study, other) == _work(study, run) and (key := f"{run.benchmark}/{other.method}") in stated:
            return stated[key]
    return stated.get(ANY)


def _work(study: Study, run: Run) -> str:
    """What a step computes: trainings that share it are equally fast on one machine."""
    recipe, benchmark = study.recipe(run), study.benchmarks[run.benchmark]
    settings = {
        "architecture": steps.architecture(study, run),
        "render": benchmark["render"],
        "objective": recipe["objective"]["name"],
        "precision": study.precision(run.method, run.benchmark),
        "imported": "checkpoint" in recipe,
        **{key: recipe.get(key) for key in ("batch", "outlier_batch", "augmentation")},
    }
    return canonical_json(settings)


def other_hours(jobs: Iterable[tuple[str, str]], recorded: Recorded) -> tuple[float, list[str]]:
    """(hours of one slot, rules nobody has timed) for (rule, benchmark) of every job but trainings."""
    seconds, unknown = 0.0, set()
    for rule, benchmark in jobs:
        if (one := recorded.get(rule, {}).get(benchmark)) is None:
            unknown.add(rule)
        else:
            seconds += one
    return seconds / 3600, sorted(unknown)
