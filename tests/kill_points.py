"""Killing the jobs of a workflow at chosen points, and comparing what lies there with an undisturbed run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.workflow import ROOT, arguments, environment

SHIM = Path(__file__).parent / "killing"
VARIES = ("cost", "report.html")  # parts of names: what holds times differs from run to run

Kill = tuple[str, str, int, str]  # rule, point, how often the job has passed it, victim


def copy_without(finished: Path, folder: Path, outputs: list[str]) -> None:
    """A copy of a finished workflow that lacks ``outputs`` and what is recorded of them."""
    shutil.copytree(finished, folder, symlinks=True)  # with its times
    for name in outputs:
        root, _, rest = name.partition("/")
        for path in (folder / name, folder / root / "hashes" / f"{rest}.sha256"):
            path.unlink(missing_ok=True)
        for path in (folder / name).parent.glob(f"{Path(name).name}.provenance.json"):
            path.unlink()


def run_through(folder: Path, kills: list[Kill], targets: list[str], expected: dict[str, bytes]) -> None:
    """The same command again and again, killed at one point after the other, until it ends well.

    Raises:
        AssertionError: as :func:`strikes`, or the job does not pass one of the points.
    """
    for kill in kills:
        assert strikes(folder, kill, targets, expected), f"the job never passed {kill}"
    assert not strikes(folder, ("", "start", 1, "job"), targets, expected)


def strikes(folder: Path, kill: Kill, targets: list[str], expected: dict[str, bytes]) -> bool:
    """Run the command with ``kill`` in wait; whether it struck.

    Raises:
        AssertionError: the run ended badly though nothing struck, or left under a final name anything but what the
            undisturbed run has there.
    """
    plan = folder / "kill_plan.json"
    plan.write_text(json.dumps([kill]))
    done = _run(folder, targets, plan)
    struck = json.loads(plan.read_text()) == []
    plan.unlink()
    wrong = sorted(name for name, content in files(folder).items() if expected.get(name) != content)
    assert not wrong, f"after {kill}: {wrong}"
    assert struck or done.returncode == 0, done.stdout
    return struck


def _run(folder: Path, targets: list[str], plan: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workflow_scripts.launch", *arguments(*targets)]
    path = os.pathsep.join([str(SHIM), str(ROOT)])
    more = {"PYTHONPATH": path, "OOD_REPRO_KILL_PLAN": str(plan)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(
        command, cwd=folder, env={**environment(), **more}, start_new_session=True, timeout=300, check=False, **streams
    )


def files(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of all files with a final name in the data and results folders, but those with times in them."""
    found = (path for part in ("data", "results") for path in (folder / part).rglob("*") if path.is_file())
    names = {path: path.relative_to(folder) for path in found if not any(part in path.name for part in VARIES)}
    kept = {path: name for path, name in names.items() if not any(part.startswith(".") for part in name.parts)}
    return {str(name): path.read_bytes() for path, name in kept.items() if name.parts[1] != "resume"}
