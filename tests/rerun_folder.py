"""A finished folder that several test files start from: two methods of different objectives, two OOD sets."""

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.workflow import PAPER, ROOT, once, snakemake, write_inputs

ADAPT: dict[str, Any] = {
    "label": "ADAPT",
    "objective": {"name": "adapt", "prototypes_per_class": 2, "top_k": 1},
    "projector": {"hidden": 8, "dimension": 8},
    "optimiser": {"name": "sgd", "learning_rate": 0.1},
    "schedule": {"name": "cosine"},
    "epochs": 1,
    "batch": 256,
}
PUBLISHED = {
    "own.csv": "paper,table,id_set,network,method,score,ood_set,metric,value,status,source\n"
    "own,one,digits,small,ce,msp,digits_held_out,auroc,70.0,author,a paper\n",
    "aliases.csv": "paper,method,score,id_set,recipe,instance,epochs,note\nown,ce,msp,,plain,msp,,\n",
    "sources.yaml": yaml.safe_dump(
        {
            "networks": {"small": [PAPER["benchmarks"]["digits"]["network"]]},
            "sources": {
                "own": {
                    "title": "Own",
                    "fpr_rule": "closest",
                    "id_tests": {"digits": "test"},
                    "sets": {"digits_held_out": {"digits_held_out": "test"}},
                }
            },
        }
    ),
}


def paper(**change: Any) -> dict[str, Any]:
    """The micro paper with ADAPT beside plain training, a table of published values and a second kind of figure."""
    found = copy.deepcopy(PAPER)
    found["scores"]["total"] = {"score": "mahalanobis_total"}
    found["recipes"]["adapt"] = copy.deepcopy(ADAPT)
    found["evaluate"] = {"digits": {"plain": ["msp", "knn"], "adapt": ["total"]}}
    published = {"kind": "published", "published": "published/own.csv", "benchmark": "digits", "caption": "Published"}
    found["tables"]["published"] = published
    found["figures"]["sets"] = {"kind": "auroc_heat_map", "benchmark": "digits", "caption": "Sets"}
    return {**found, **change}


def write_paper(folder: Path, **change: Any) -> None:
    """Config, paper and published values."""
    write_inputs(folder, paper(**change))
    (folder / "published").mkdir(exist_ok=True)
    for name, text in PUBLISHED.items():
        (folder / "published" / name).write_text(text)


def finished_copy(factory: Any) -> Path:
    """A copy, with the times of the original, of a folder in which that paper was run to its end once for all files."""
    return shutil.copytree(once(factory, "finished_paper", _run), factory.mktemp("finished") / "copy")


def _run(folder: Path) -> None:
    write_paper(folder)
    done = snakemake(folder, "micro")
    assert done.returncode == 0, done.stdout


def planned(folder: Path, *more: str, root: Path = ROOT) -> dict[str, int]:
    """Rule -> number of jobs that a dry run would start; target rules and the total are left out."""
    done = snakemake(folder, "micro", "-n", *more, root=root)
    assert done.returncode == 0, done.stdout
    table = done.stdout.rpartition("Job stats:")[2]
    assert table != done.stdout or "Nothing to be done" in done.stdout, done.stdout
    found = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M)}
    return {name: count for name, count in found.items() if name not in ("micro", "total")}
