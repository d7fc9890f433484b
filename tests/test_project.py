"""Claims about the project's own files."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def pins(lines):
    found = (re.match(r"\s*-?\s*([A-Za-z0-9._-]+)==([^\s;]+)", line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


def test_the_environment_of_the_rules_has_the_pins_of_the_requirements():
    environment = yaml.safe_load((ROOT / "envs/ood-repro.yaml").read_text())
    packages = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    wanted = pins((ROOT / "requirements.in").read_text().splitlines())
    assert pins(packages) == wanted
    locked = pins((ROOT / "requirements.txt").read_text().splitlines())
    assert {name: locked[name] for name in wanted} == wanted


def test_every_rule_has_a_script_of_its_name():
    rules = {
        name for path in (ROOT / "rules").glob("*.smk") for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    helpers = {"__init__", "job", "launch", "gpus", "network", "plan", "show"}
    assert rules == {path.stem for path in (ROOT / "workflow_scripts").glob("*.py")} - helpers


def test_scripts_and_snakefile_stay_thin():
    files = [
        ROOT / "Snakefile",
        *(path for path in (ROOT / "workflow_scripts").glob("*.py") if path.stem not in ("job", "launch")),
    ]
    assert all(len(path.read_text().splitlines()) < 60 for path in files)


def test_methods_know_neither_snakemake_nor_result_paths():
    for path in (ROOT / "methods").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (snakemake|workflow_scripts)", text, re.M), path
        assert "results/" not in text, path


def test_pure_rooms_import_no_other_room():
    allowed = {
        "objectives": {"networks"},
        "scores": {"features", "metrics"},
        "metrics": {"features"},
        "data": {"settings"},
    }
    for room, others in allowed.items():
        for path in (ROOT / "methods" / room).rglob("*.py"):
            found = set(re.findall(r"from methods\.(\w+)\.", path.read_text())) - {room}
            assert found <= others, f"{path} imports {found - others}"


def test_scores_metrics_and_objectives_touch_no_file():
    for room in ("objectives", "scores", "metrics"):
        for path in (ROOT / "methods" / room).rglob("*.py"):
            text = path.read_text()
            assert not re.search(r"import (h5py|pathlib)|from pathlib|methods\.(files|hdf5)|print\(|\.cuda\(", text), (
                path
            )


def test_no_rule_file_imports_a_heavy_package():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        assert not re.search(r"import (torch|pandas|numpy|h5py)", path.read_text()), path
