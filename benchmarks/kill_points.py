"""Kill one job of every rule at every point of its writing, one point a run, and compare with an undisturbed run.

    python -m benchmarks.kill_points                     # the small paper of the tests, jobs killed
    python -m benchmarks.kill_points --victim snakemake --rules train score
    python -m benchmarks.kill_points --finished FOLDER   # a folder in which any config.yaml was run to its end

For each rule the outputs of one job are taken out of a copy of a finished folder. Then the same command is given again
and again, each run killed one point further on: at the start; for each file that the job writes when half of it is on
the disk, when it waits under its temporary name, when it has its final name; at the end. After every kill each file
with a final name must be that of the undisturbed run, and in the end all must be there.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kill_points import Kill, copy_without, files, strikes
from tests.workflow import arguments, environment, launch, write_inputs


def jobs(folder: Path) -> dict[str, list[str]]:
    """Rule -> outputs of one of its jobs, the last one listed."""
    command = [sys.executable, "-m", "snakemake", *arguments("--detailed-summary")]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    header, *lines = (line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    name, rule, log = (header.index(key) for key in ("output_file", "rule", "log-file(s)"))
    found: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        if line[rule] != "-":
            found.setdefault(line[rule], {}).setdefault(line[log], []).append(line[name])
    return {rule: list(by_log.values())[-1] for rule, by_log in found.items()}


def points(rule: str, victim: str) -> Iterator[Kill]:
    """One point after the other, for ever: the caller stops when a run passed without being struck."""
    yield rule, "start", 1, victim
    count = 1
    while True:
        for point in ("torn", "before", "after"):
            yield rule, point, count, victim
        count += 1


def kill_rule(finished: Path, folder: Path, rule: str, outputs: list[str], victim: str) -> int:
    """Number of kills that the job took before it could end."""
    expected, kills = files(finished), 0
    copy_without(finished, folder, outputs)
    for kill in points(rule, victim):
        if not strikes(folder, kill, outputs, expected):
            break
        kills += 1
    missing = expected.keys() - files(folder).keys()
    left = [path for path in folder.rglob("*.tmp") if ".snakemake" not in path.parts]
    assert not missing, missing
    assert not left, left
    shutil.rmtree(folder)
    copy_without(finished, folder, outputs)
    kills += strikes(folder, (rule, "end", 1, victim), outputs, expected)
    assert not strikes(folder, (rule, "end", 2, victim), outputs, expected)
    assert files(folder).keys() == expected.keys()
    return kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="*", help="only these")
    parser.add_argument("--victim", choices=("job", "snakemake", "group"), default="job")
    parser.add_argument("--finished", type=Path, help="folder with config.yaml, data and results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        finished = options.finished or Path(name) / "finished"
        if not options.finished:
            finished.mkdir()
            write_inputs(finished)
            done = launch(finished, "micro")
            assert done.returncode == 0, done.stdout
        total = 0
        for rule, outputs in jobs(finished).items():
            if options.rules and rule not in options.rules:
                continue
            begun = time.monotonic()
            kills = kill_rule(finished, Path(name) / "copy", rule, outputs, options.victim)
            shutil.rmtree(Path(name) / "copy")
            total += kills
            print(f"{rule:<18} {kills:>3} kills, same bytes, {time.monotonic() - begun:.0f} s", flush=True)
        print(f"{total} kills of {options.victim}: never a wrong byte under a final name, all the same in the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
