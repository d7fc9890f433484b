"""Kill a workflow at random instants, give the same command again, compare with a run that was left alone.

    python -m benchmarks.kill_anywhere --kills 50                       # the demo
    python -m benchmarks.kill_anywhere --kills 15 --paper micro         # the small paper of the tests

Two folders are filled, one in peace and one under fire. A kill is SIGKILL for one job, for Snakemake itself, or for the
whole process group, the launcher included; gaps between kills are random, so that some strike while Snakemake plans.
Tables, metrics, histories, models, features, scores, figures and recorded hashes are then compared byte by byte.

Lost work is what was computed and thrown away: for each job that a kill ended its age, for a training the time since
its last checkpoint. The start of Snakemake after a kill is told apart from it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.kill_points import files
from tests.workflow import PAPER, ROOT, environment

VICTIMS = {"job": 0.6, "Snakemake": 0.2, "all processes": 0.2}
EARLY = 0.2  # share of the runs that may be struck before their first job
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What the kills did."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    jobs: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def lose(self, pid: int, rule: str) -> None:
        self.jobs[rule] += 1
        self.seconds[rule] += lost_seconds(pid)


def start(folder: Path, target: str, cores: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workflow_scripts.launch", target, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", str(cores)]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=output, start_new_session=True
        )


def stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descendants(pid: int) -> list[int]:
    below: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                below[int(stat(int(entry.name))[1])].append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = below[waiting.pop()]
        found += children
        waiting += children
    return found


def running_jobs(pid: int) -> dict[int, str]:
    """Process -> rule of the Pythons that run a job's script below ``pid``."""
    found = {}
    for below in descendants(pid):
        with suppress(OSError):
            words = Path(f"/proc/{below}/cmdline").read_text().split("\0")
            if len(words) > 1 and ".snakemake/scripts/" in words[1]:
                found[below] = Path(words[1]).name.split(".")[1]
    return found


def snakemake_pid(pid: int) -> int:
    for below in descendants(pid):
        with suppress(OSError):
            if "-m\0snakemake" in Path(f"/proc/{below}/cmdline").read_text():
                return below
    return pid


def lost_seconds(pid: int) -> float:
    """Age of a job, or for a training the time since its last checkpoint."""
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        age = uptime - int(stat(pid)[19]) / _TICKS
        for link in Path(f"/proc/{pid}/fd").iterdir():
            checkpoint = Path(os.readlink(link)).with_name("checkpoint.safetensors")
            if "/resume/" in str(checkpoint) and checkpoint.is_file():
                age = min(age, time.time() - checkpoint.stat().st_mtime)
    except OSError:
        return 0.0
    return age


def strike(process: subprocess.Popen[bytes], chance: random.Random, tally: Tally) -> None:
    victim = chance.choices(list(VICTIMS), weights=list(VICTIMS.values()))[0]
    jobs = running_jobs(process.pid)
    if victim == "job" and not jobs:
        victim = "Snakemake"
    dying = dict([chance.choice(sorted(jobs.items()))]) if victim == "job" else jobs
    for pid, rule in dying.items():
        tally.lose(pid, rule)
    with suppress(ProcessLookupError):
        if victim == "job":
            os.kill(next(iter(dying)), signal.SIGKILL)
        elif victim == "Snakemake":
            os.kill(snakemake_pid(process.pid), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    tally.kills[victim if jobs else f"{victim}, before a job ran"] += 1


def run_under_fire(folder: Path, target: str, cores: int, gap: float, kills: int, chance: random.Random) -> Tally:
    """Kill until ``kills`` have struck or the target is finished."""
    tally = Tally()
    process = None
    while sum(tally.kills.values()) < kills:
        if process is None or process.poll() is not None:
            if process is not None and process.returncode == 0:
                break
            process = start(folder, target, cores)
            tally.runs += 1
            if chance.random() > EARLY:
                await_job(process)
        try:
            process.wait(chance.uniform(0, 2 * gap))
        except subprocess.TimeoutExpired:
            strike(process, chance, tally)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)  # ends at once, unless other jobs go on
    if process is not None:
        process.wait()
    return tally


def await_job(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first job of a run, or its end."""
    while process.poll() is None and not running_jobs(process.pid):
        time.sleep(0.05)


def write_inputs(folder: Path, paper: str, checkpoint_seconds: float | None) -> str:
    """Config of a folder; gives its target."""
    folder.mkdir()
    named = paper
    if paper == "micro":
        (folder / "paper.yaml").write_text(yaml.safe_dump(PAPER, sort_keys=False))
        named = "paper.yaml"
    hardware = {"device": "cpu"} | ({} if checkpoint_seconds is None else {"checkpoint_seconds": checkpoint_seconds})
    document = {"papers": [named], "hardware": hardware} | ({"seeds": [0]} if paper == "micro" else {})
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return paper


def differing(first: Path, second: Path) -> tuple[int, list[str]]:
    """Number of files compared, and the names of those that differ or are missing on one side."""
    one, other = files(first), files(second)
    names = one.keys() | other.keys()
    return len(names), sorted(name for name in names if one.get(name) != other.get(name))


def report(tally: Tally, alone: float, fire: float, restart: float) -> None:
    total = sum(tally.kills.values())
    print(f"{total} kills in {tally.runs} runs: " + ", ".join(f"{n} {what}" for what, n in tally.kills.most_common()))
    print(
        f"alone {alone:.0f} s, under fire {fire:.0f} s; a start of the command takes {restart:.1f} s to its first job"
    )
    print("rule                  jobs that began again   seconds thrown away")
    for rule, count in tally.jobs.most_common():
        print(f"{rule:<22}{count:>21}{tally.seconds[rule]:>22.1f}")
    lost = sum(tally.seconds.values())
    print(f"{'together':<22}{sum(tally.jobs.values()):>21}{lost:>22.1f}  ({lost / max(total, 1):.1f} a kill)")


def peaceful(folder: Path, target: str, cores: int) -> tuple[float, float]:
    """Seconds of a whole run, and until its first job ran."""
    begun = time.monotonic()
    process = start(folder, target, cores)
    await_job(process)
    first = time.monotonic() - begun
    if process.wait():
        sys.exit((folder / "output.txt").read_text()[-3000:])
    return time.monotonic() - begun, first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paper", default="demo", help="demo, another paper, or micro: that of the tests")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--gap", type=float, help="mean seconds between kills (a share of the peaceful run)")
    parser.add_argument("--checkpoint-seconds", type=float, help="hardware.checkpoint_seconds of both runs")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        peace, fire = Path(name) / "peace", Path(name) / "fire"
        target = write_inputs(peace, options.paper, options.checkpoint_seconds)
        write_inputs(fire, options.paper, options.checkpoint_seconds)
        alone, restart = peaceful(peace, target, options.cores)
        gap = options.gap or max(1.0, 0.8 * (alone - restart) / options.kills)
        begun = time.monotonic()
        tally = run_under_fire(fire, target, options.cores, gap, options.kills, chance)
        code = start(fire, target, options.cores).wait()
        under_fire = time.monotonic() - begun
        report(tally, alone, under_fire, restart)
        compared, wrong = differing(peace, fire)
        left = [path for path in fire.rglob("*.tmp") if ".snakemake" not in path.parts]
        print(f"{compared} files compared byte by byte; {len(left)} temporary files left; last exit code {code}")
        print("identical" if not wrong and code == 0 else "DIFFERENT: " + ", ".join(wrong[:10]))
        if options.json:
            figures = {"alone": alone, "fire": under_fire, "kills": tally.kills, "runs": tally.runs}
            options.json.write_text(json.dumps({**figures, "jobs": tally.jobs, "seconds": tally.seconds}, indent=1))
        return int(bool(wrong) or code != 0)


if __name__ == "__main__":
    sys.exit(main())
