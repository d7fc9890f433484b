"""One process for the sets that wait for one network, against one process a set.

    python -m benchmarks.shared_extraction [--cores 2]

The demo's models are trained once in a temporary folder. Then the sets of all its runs are extracted twice by the same
Snakemake command: each set in a process of its own (`--no-hooks` keeps the lists of waiting sets from being written),
and shared. Printed are wall and CPU seconds, and whether both left the same bytes.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "demo", "--snakefile", str(ROOT / "Snakefile"), "--quiet", "all"]


def run(folder: Path, cores: int, *more: str) -> tuple[float, float]:
    """Wall and CPU seconds of a Snakemake command in ``folder``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [*SNAKEMAKE, "--cores", str(cores), "--config", "hardware={device: cpu}", *more]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PATH": path})
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2)
    cores = parser.parse_args().cores
    with tempfile.TemporaryDirectory() as name:
        alone, shared = Path(name) / "alone", Path(name) / "shared"
        alone.mkdir()
        run(alone, cores, "--until", "train", "prepare_images")
        shutil.copytree(alone, shared, symlinks=True)
        times = {
            "a process a set": run(alone, cores, "--until", "extract_features", "--no-hooks"),
            "shared": run(shared, cores, "--until", "extract_features"),
        }
        files = sorted(path.relative_to(alone) for path in alone.rglob("features/**/*.h5"))
        equal = bool(files) and all((alone / path).read_bytes() == (shared / path).read_bytes() for path in files)
    for what, (wall, processor) in times.items():
        print(f"{what:16} {wall:6.1f} s wall, {processor:6.1f} s of CPU")
    (first, cpu), (second, less) = times.values()
    ratios = f"{first / second:.2f} times as fast, {cpu / less:.2f} times less CPU"
    print(f"{len(files)} sets: {ratios}, bytes equal: {equal}")
    return int(not equal)


if __name__ == "__main__":
    sys.exit(main())
