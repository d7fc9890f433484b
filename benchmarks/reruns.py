"""What runs again after an edit, counted on the demo.

    make demo && python benchmarks/reruns.py --folder .
    python benchmarks/reruns.py

The folder is one in which this checkout's demo was run to its end (results, data, .snakemake). Without one, the demo's
files are stood in for by empty ones that Snakemake takes for finished: it looks at which files there are, at their
times and at what it remembers of each job, never into them. Each edit is made in a copy of the code, followed by a dry
run, and taken back; nothing in the folder changes. Prints the jobs by rule; exit code 1 if they are not those expected.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("methods", "rules", "workflow_scripts", "resources", "schemas", "profiles", "envs", "papers")
FILES = ("Snakefile", "config.yaml", "requirements.txt", "README.md")
Jobs = dict[str, int]
Change = Callable[[str], str]

# Two seeds. Digits: ID train and test and four OOD sets; mosaics: two OOD sets. Trained again, ADAPT has two models,
# 12 features and 10 scores; three tables and eight figures show it, or what it costs.
ADAPT: Jobs = {
    "train": 2,
    "extract_features": 12,
    "extract_readout": 2,
    "fit_scores": 2,
    "score": 10,
    "evaluate": 2,
    "make_table": 3,
    "make_figure": 8,
    "make_report": 1,
}


@dataclass(frozen=True)
class Edit:
    """A change of files of the project (patterns), options of the dry run, and the jobs that are to follow."""

    name: str
    patterns: tuple[str, ...]
    change: Change
    jobs: Jobs
    options: tuple[str, ...] = ()


def added(text: str) -> Change:
    return lambda before: before + text


def replaced(old: str, new: str) -> Change:
    def change(before: str) -> str:
        assert old in before, f"{old!r} is to be replaced and is not there"
        return before.replace(old, new, 1)

    return change


STATEMENT, COMMENT = added("\nNEW = 1\n"), added("\n\n\n# A comment.\n")
BLENDED = "blended_mosaics: {split: validation, groups: [far]}"
DEMO = ("papers/demo.yaml",)
EDITS = [
    Edit("ADAPT's loss", ("methods/objectives/adapt.py",), STATEMENT, ADAPT),
    Edit("a recipe value of ADAPT", DEMO, replaced("epochs: 40", "epochs: 41"), ADAPT),
    Edit(
        "a score (fDBD, used by cross-entropy)",
        ("methods/scores/fdbd.py",),
        STATEMENT,
        {
            "fit_scores": 2,
            "score": 10,
            "score_network": 10,
            "evaluate": 2,
            "make_table": 2,
            "make_figure": 5,
            "make_report": 1,
        },
    ),
    Edit(
        "a kind of figure",
        ("methods/reporting/figures/embedding_map.py",),
        STATEMENT,
        {"make_figure": 1, "make_report": 1},
    ),
    Edit(
        "a new OOD set",
        DEMO,
        replaced("scrambled_mosaics: {groups: [far]}\n", f"scrambled_mosaics: {{groups: [far]}}\n      {BLENDED}\n"),
        {
            "prepare_images": 1,
            "extract_features": 4,
            "score": 4,
            "score_network": 2,
            "evaluate": 4,
            "make_table": 4,
            "make_figure": 3,
            "make_report": 1,
        },
    ),
    Edit(
        "a new seed",
        (),
        COMMENT,
        {
            "train": 4,
            "extract_features": 23,
            "extract_readout": 4,
            "tune_scores": 1,
            "fit_scores": 4,
            "score": 16,
            "score_network": 8,
            "evaluate": 4,
            "measure_dilation": 1,
            "make_table": 9,
            "make_figure": 5,
            "make_report": 1,
        },
        ("--config", "seeds=[0, 1, 2]"),
    ),
    Edit("comments in every file of code", ("methods/**/*.py", "workflow_scripts/**/*.py", "rules/*.smk"), COMMENT, {}),
    Edit("docstrings", ("methods/**/*.py", "workflow_scripts/**/*.py"), added('\n"""More words."""\n'), {}),
    Edit("the README", ("README.md",), added("More.\n"), {}),
    Edit("comments in papers, config and catalog", ("*.yaml", "papers/*.yaml", "resources/*.yaml"), COMMENT, {}),
    Edit("logging, progress, provenance", ("methods/progress.py", "methods/provenance.py"), STATEMENT, {}),
    Edit("a set that nobody uses", ("resources/datasets.yaml",), replaced("title: Textures", "title: Other"), {}),
    Edit("hardware", (), COMMENT, {}, ("--config", "hardware={extraction_batch: 7, checkpoint_seconds: 1}")),
]


def copy_code(root: Path) -> Path:
    root.mkdir()
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, root / name)
    return root


STAND_IN = """
from pathlib import Path
from workflow_scripts.adoption.dag import graph
with graph(["demo", "--snakefile", "{root}/Snakefile"]) as found:
    for path in (Path(path) for job in found.jobs for path in job.outputs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found.remember(found.jobs, {{}})
"""


def environment(root: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(root), "PATH": path}


def stand_in(folder: Path, root: Path) -> Path:
    """A folder in which the demo seems finished."""
    folder.mkdir()
    code = STAND_IN.format(root=root)
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(root), check=True, capture_output=True)
    return folder


def dry_run(folder: Path, root: Path, options: Iterable[str]) -> Jobs:
    command = [sys.executable, "-m", "snakemake", "demo", "-n", "--cores", "2", "--snakefile", str(root / "Snakefile")]
    done = subprocess.run([*command, *options], cwd=folder, env=environment(root), capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode or ("Job stats:" not in output and "Nothing to be done" not in output):
        sys.exit(output)
    found = re.findall(r"^(\w+)\s+(\d+)$", output.rpartition("Job stats:")[2], flags=re.M)
    return {rule: int(count) for rule, count in found if rule not in ("demo", "total")}


def after(edit: Edit, folder: Path, root: Path) -> Jobs:
    paths = sorted({path for pattern in edit.patterns for path in root.glob(pattern)})
    before = {path: path.read_text(encoding="utf-8") for path in paths}
    for path, text in before.items():
        path.write_text(edit.change(text), encoding="utf-8")
    try:
        return dry_run(folder, root, edit.options)
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


def told(jobs: Jobs) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in jobs.items()) or "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the demo was run to its end")
    folder, wrong = parser.parse_args().folder, 0
    with tempfile.TemporaryDirectory() as place:
        root = copy_code(Path(place) / "code")
        folder = folder or stand_in(Path(place) / "folder", root)
        if left := dry_run(folder, root, ()):
            sys.exit(f"The demo in {folder} is not finished by this checkout: {told(left)} would run.")
        print("| edit | jobs of the dry run | as expected |\n|---|---|---|")
        for edit in EDITS:
            found = after(edit, folder, root)
            right = found == edit.jobs
            wrong += not right
            print(f"| {edit.name} | {told(found)} | {'yes' if right else f'no: {told(edit.jobs)}'} |", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
