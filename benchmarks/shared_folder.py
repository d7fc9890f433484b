"""Two workflows of one paper on one data folder, started in a random stagger, one of them killed now and then.

    python -m benchmarks.shared_folder --rounds 6

In each round both must end, by the same command given again where one was killed; every file of the data folder must be
made once (once more for a killed job), with the bytes of a workflow that was alone, and neither plans anything after.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.kill_points import files
from tests.workflow import arguments, environment, write_inputs

NAMES = ("one", "two")
PREPARED = re.compile(r"^Job \d+: (?:prepare|fetch) (\S+)", re.M)


def start(folder: Path, target: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workflow_scripts.launch", *arguments(target)]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=output)


def run_both(place: Path, target: str, stagger: float, killed: float | None) -> bool:
    """Both workflows to their end; whether one was killed in between."""
    for name in NAMES:
        (place / name).mkdir(parents=True)
        write_inputs(place / name, data={"folder": str(place / "data")})
    first = start(place / "one", target)
    time.sleep(stagger)
    second = start(place / "two", target)
    struck = False
    if killed is not None:
        time.sleep(killed)
        if first.poll() is None:
            first.send_signal(signal.SIGKILL)
            first.wait()
            first, struck = start(place / "one", target), True
    codes = [first.wait(), second.wait()]
    assert codes == [0, 0], [(place / name / "output.txt").read_text()[-3000:] for name in NAMES]
    return struck


def check(place: Path, expected: dict[str, bytes], target: str, struck: bool) -> list[int]:
    """Data files that each workflow made.

    Raises:
        AssertionError: a file was made twice, differs, or would be made again.
    """
    made = [PREPARED.findall((place / name / "output.txt").read_text()) for name in NAMES]
    twice = set(made[0]) & set(made[1])
    assert not twice or struck, twice
    own = {name: content for name, content in files(place).items() if name.startswith("data/")}
    assert own == {name: content for name, content in expected.items() if name.startswith("data/")}
    for name in NAMES:
        results = {key: value for key, value in files(place / name).items() if key.startswith("results/")}
        assert results == {key: value for key, value in expected.items() if key.startswith("results/")}
        command = [sys.executable, "-m", "snakemake", *arguments("-n", target)]
        done = subprocess.run(command, cwd=place / name, env=environment(), capture_output=True, text=True, check=True)
        assert "Nothing to be done" in done.stdout + done.stderr
    return [len(part) for part in made]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="results/runs/digits/plain/corrected/seed0/eval-corrected/metrics.csv")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        alone = Path(name) / "alone"
        alone.mkdir()
        write_inputs(alone)
        begun = time.monotonic()
        assert start(alone, options.target).wait() == 0, (alone / "output.txt").read_text()[-3000:]
        seconds, expected = time.monotonic() - begun, files(alone)
        print(f"alone {seconds:.0f} s", flush=True)
        for number in range(options.rounds):
            place, stagger = Path(name) / str(number), chance.uniform(0, 0.3 * seconds)
            killed = chance.uniform(0, 0.3 * seconds) if number % 2 else None
            struck = run_both(place, options.target, stagger, killed)
            made = check(place, expected, options.target, struck)
            how = f"the first killed {killed:.1f} s later, " if struck and killed else ""
            print(
                f"second {stagger:.1f} s after the first, {how}data jobs {made[0]} and {made[1]}: identical", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
