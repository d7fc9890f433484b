"""Kill the demo at random instants, run the same command again, compare with a run that was left alone.

    python benchmarks/kill_anywhere.py --kills 5 --seed 0

Two folders are filled, one in peace and one under fire; each kill hits Snakemake itself or one of its jobs with
SIGKILL. Tables, metrics, histories, models, features, scores and figures are then compared byte by byte.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPARED = ("*.csv", "*.md", "*.tex", "*.html", "*.svg", "*.pdf", "*.safetensors", "*.h5", "*.json")


def start(folder: Path) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    command = [sys.executable, "-m", "workflow_scripts.launch", "demo", "--snakefile", str(ROOT / "Snakefile")]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        below = [child for child, above in parents.items() if above == parent]
        found += below
        waiting += below
    return found


def kill_one(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    victims = descendants(process.pid)
    victim = chance.choice(victims)
    try:
        command = Path(f"/proc/{victim}/cmdline").read_text().replace("\0", " ").strip()
        os.kill(victim, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return "a process that had just ended"
    if "-m snakemake" in command:
        return "Snakemake"
    return Path(command.split()[-1]).name.split(".", 1)[-1] if command else "a job"


def run_under_fire(folder: Path, kills: int, longest: float, chance: random.Random) -> list[tuple[float, str]]:
    hits: list[tuple[float, str]] = []
    while len(hits) < kills:
        process, pause = start(folder), chance.uniform(1, longest)
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            hits.append((pause, kill_one(process, chance)))
            process.wait()
        else:
            break  # finished before the blow
    return hits


def differing(first: Path, second: Path) -> list[str]:
    names = {
        path.relative_to(folder)
        for folder in (first, second)
        for pattern in COMPARED
        for path in (folder / "results").rglob(pattern)
        if "cost" not in path.name and path.name != "report.html"  # times differ from run to run
    }
    print(f"{len(names)} files compared byte by byte")
    return sorted(str(n) for n in names if _bytes(first / n) != _bytes(second / n))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        peace, fire = Path(name) / "peace", Path(name) / "fire"
        peace.mkdir()
        fire.mkdir()
        begun = time.monotonic()
        if start(peace).wait():
            print((peace / "output.txt").read_text()[-3000:])
            return 1
        alone = time.monotonic() - begun
        begun = time.monotonic()
        for pause, victim in run_under_fire(fire, options.kills, alone / 2, chance):
            print(f"SIGKILL after {pause:5.1f} s: {victim}")
        code = start(fire).wait()
        print(f"alone {alone:.0f} s, with kills {time.monotonic() - begun:.0f} s, last exit code {code}")
        wrong = differing(peace, fire)
        print("identical" if not wrong and code == 0 else "DIFFERENT: " + ", ".join(wrong[:10]))
        return int(bool(wrong) or code != 0)


if __name__ == "__main__":
    sys.exit(main())
