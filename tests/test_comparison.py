"""The page that compares this project with others: its counts are counted again."""

import re
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from methods.registry import records
from tests.workflow import ROOT

HASHES = {"sha256", "md5", "hash"}
PAGE = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def counted() -> dict[str, int]:
    """What the page says, by what it counts."""
    return {what: int(count) for what, count in re.findall(r"^\| (.+) \| (\d+) \|$", section("Counted"), re.M)}


def of_task(package: str, task: str) -> int:
    return sum(task in record["tasks"] for record in records(package).values())


def files() -> list[dict[str, Any]]:
    catalog = yaml.safe_load((ROOT / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]
    return [file for record in catalog.values() for file in record.get("files", []) if "urls" in file]


def ours() -> dict[str, int]:
    catalog = yaml.safe_load((ROOT / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]
    return {
        "training objectives": len(records("objectives")),
        "training objectives for one label an image": of_task("objectives", "single_label"),
        "training objectives for several labels an image": of_task("objectives", "multi_label"),
        "post-hoc scores": len(records("scores")),
        "post-hoc scores for one label an image": of_task("scores", "single_label"),
        "post-hoc scores for several labels an image": of_task("scores", "multi_label"),
        "networks": len(records("networks")),
        "data sets in the catalog": len(catalog),
        "files with an address in the catalog": len(files()),
        "files with an address and a hash in the catalog": sum(bool(HASHES & set(file)) for file in files()),
        "kinds of tables": len(records("reporting.tables")),
        "kinds of figures": len(records("reporting.figures")),
        "papers, small ones and the demo included": len(list((ROOT / "papers").glob("*.yaml"))),
    }


def theirs() -> dict[str, int]:
    """The same of pytorch-ood, in the installed package."""
    from pytorch_ood import benchmark, detector, loss, model
    from pytorch_ood.dataset import img
    from torch.nn import Module

    losses = [getattr(loss, name) for name in dir(loss)]
    found = {
        "detectors": sum(isinstance(getattr(detector, name), type) for name in detector.__all__),
        "benchmarks": len(set(benchmark.__all__) - {"Benchmark"}),
        "image data sets": len(img.__all__),
        "losses": sum(isinstance(part, type) and issubclass(part, Module) for part in losses),
        "pretrained models": len(model.list_models()),
    }
    return {f"{what} of pytorch-ood {version('pytorch-ood')}": count for what, count in found.items()}


def test_the_page_counts_what_the_code_has():
    found = {what: count for what, count in counted().items() if "pytorch-ood" not in what}
    assert found == ours()


def test_the_page_counts_what_the_installed_peer_has():
    pytest.importorskip("pytorch_ood")
    found = {what: count for what, count in counted().items() if "pytorch-ood" in what}
    assert found == theirs()


def test_numbers_in_the_text_are_those_counted():
    row = next(line for line in PAGE.splitlines() if line.startswith("| post-hoc scores | ") and "detectors" in line)
    assert row.startswith(f"| post-hoc scores | {ours()['post-hoc scores']} |")
    assert f"{counted()['detectors of pytorch-ood 0.4.0']} detectors" in row
    several = f"yes: {of_task('scores', 'multi_label')} scores, {of_task('objectives', 'multi_label')} objectives"
    assert f"| multi-label OOD | {several}" in PAGE
    assert f"{counted()['pretrained models of pytorch-ood 0.4.0']} entries in its registry" in PAGE


def test_every_source_named_is_listed_and_every_one_listed_is_named():
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", section("Sources"), re.M)}
    text = PAGE.replace(section("Sources"), "")
    named = set()
    for group in re.findall(r"\[(\d[\d, to]*)\](?!\()", text):
        numbers = [int(number) for number in re.findall(r"\d+", group)]
        named |= set(range(numbers[0], numbers[-1] + 1)) if "to" in group else set(numbers)
    assert named == listed
