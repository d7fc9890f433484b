"""Two workflows share GPUs that do not exist, while their jobs are killed: never two jobs on one, none lost.

    python -m benchmarks.gpu_slots --jobs 8 --gpus 4 --kills 20

Real Snakemake, twice, in folders of their own (two checkouts of one user); the jobs start as those of the project do,
and every fourth asks for two GPUs. Each starts a process that computes for it and outlives it by half a second. A job
writes its processes down beside the GPU it was given and takes note of any other that still lives there.
``--apart`` gives each workflow a pool of its own, which shows that the notes do tell.
"""

import argparse
import csv
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.kill_anywhere import descendants
from workflow_scripts.gpu_pool.devices import FAKE, VISIBLE
from workflow_scripts.gpu_pool.slots import FOLDER

ROOT = Path(__file__).resolve().parents[1]

SNAKEFILE = """
from workflow_scripts.launch import register_owner

register_owner({root!r})


rule all:
    input:
        expand("done/{{n}}", n=range({jobs})),


rule work:
    output:
        "done/{{n}}",
    log:
        "logs/{{n}}.log",
    resources:
        gpu=lambda wildcards: 2 if int(wildcards.n) % 4 == 3 else 1,
    retries: 100
    script:
        "work.py"
"""

WORK = """
from benchmarks.gpu_slots import work
from workflow_scripts.job import run_job

run_job(work, snakemake)
"""

# Ends when its task is done or, half a second late, when its parent is gone
CHILD = """
import os, sys, time
parent, until = os.getppid(), time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    if os.getppid() != parent:
        time.sleep(0.5)
        break
    time.sleep(0.01)
"""


def work(snakemake):
    """A job: holds its GPUs for a few seconds and looks for others on them."""
    from workflow_scripts.job import process_identity

    waited = float(Path(snakemake.log[0]).read_text().rpartition("after ")[2].split()[0])
    folder, seconds = Path(os.environ["SIMULATION"]), random.uniform(2, 4)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(seconds)], close_fds=False)
    own = " ".join(str(process_identity(pid)) for pid in (os.getpid(), child.pid))
    notes = [folder / f"gpu{name}" for name in os.environ[VISIBLE].split(",")]
    for note in notes:
        others = note.read_text().split() if note.is_file() else []
        if alive := [other for other in others if process_identity(int(other.split(":")[0])) == other]:
            tell(folder, "overlap", note.name, " ".join(alive))
        note.write_text(own)
    begun = time.time()
    child.wait()
    for note in notes:
        if note.read_text() != own:
            tell(folder, "overlap", note.name, "somebody came while the job was at work")
        note.write_text("")
    tell(folder, "work", " ".join(note.name for note in notes), f"{begun:.2f} {time.time():.2f} {waited:.2f}")
    Path(snakemake.output[0]).write_text(own)


def tell(folder, what, where, text):
    with open(folder / "events.csv", "a") as events:  # short lines, added whole
        events.write(f"{what},{where},{text}\n")


def start(folder, options, simulation, pool):
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT), jobs=options.jobs // 2))
    (folder / "work.py").write_text(WORK)
    added = {FOLDER: str(pool), FAKE: str(options.gpus), "SIMULATION": str(simulation), "PYTHONPATH": str(ROOT)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--cores", "8", "--resources", f"gpu={options.gpus}"]
    command += ["--config", "data={folder: data}", "results={folder: results}"]
    with open(folder / "output.txt", "w") as output:
        environment = {**os.environ, **added, "PATH": path}
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def jobs_of(workflows):
    """Processes of jobs, at work or in the queue."""
    found = []
    for pid in (pid for workflow in workflows if workflow.poll() is None for pid in descendants(workflow.pid)):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if len(command) > 1 and command[1].endswith(".work.py"):
            found.append(pid)
    return found


def kill_some(workflows, options):
    """Processes of jobs killed, one at a time; returns their number and how many of them had a GPU."""
    chance, hits, holding = random.Random(options.seed), 0, 0
    while hits < options.kills and any(workflow.poll() is None for workflow in workflows):
        time.sleep(chance.uniform(0.2, 0.8))
        victims = {pid: has_gpu(pid) for pid in jobs_of(workflows)}
        at_work = [pid for pid, has in victims.items() if has]
        if not victims:
            continue
        victim = chance.choice(at_work if at_work and chance.random() < 0.7 else list(victims))
        try:
            os.kill(victim, signal.SIGKILL)
        except OSError:
            continue
        hits, holding = hits + 1, holding + victims[victim]
    return hits, holding


def has_gpu(pid):
    """Whether a process holds the lock of a GPU: it has the file open."""
    try:
        return any(Path(os.readlink(file)).name.startswith("fake") for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def report(folder, options, hits, holding, codes, seconds):
    with open(folder / "events.csv", newline="") as events:
        rows = list(csv.reader(events))
    overlaps, works = ([row for row in rows if row[0] == kind] for kind in ("overlap", "work"))
    done = sum(len(list((folder / name / "done").glob("*"))) for name in ("first", "second"))
    waits = sorted(float(row[2].split()[2]) for row in works)
    print(f"{options.jobs} jobs of two workflows, {options.gpus} GPUs, {seconds:.1f} s, exit codes {codes}")
    print(f"SIGKILL: {hits} jobs, {holding} of them with a GPU, {hits - holding} before they had one")
    middle = statistics.median(waits)
    print(
        f"finished: {done} of {options.jobs}; in the queue {waits[0]:.1f} to {waits[-1]:.1f} s, median {middle:.1f} s"
    )
    print(f"jobs of two GPUs: {sum(' ' in row[1] for row in works)}; two jobs on one GPU: {len(overlaps)} times")
    return done == options.jobs and not overlaps and codes == [0, 0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--gpus", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--apart", action="store_true", help="a pool for each workflow: expect jobs to meet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, begun = Path(name), time.monotonic()
        (folder / "events.csv").touch()
        pools = [folder / f"pool{number * options.apart}" for number in range(2)]
        places = [folder / name for name in ("first", "second")]
        workflows = [start(place, options, folder, pool) for place, pool in zip(places, pools, strict=True)]
        hits, holding = kill_some(workflows, options)
        codes = [workflow.wait() for workflow in workflows]
        if any(codes):
            print((places[0] / "output.txt").read_text()[-2000:])
        return int(not report(folder, options, hits, holding, codes, time.monotonic() - begun))


if __name__ == "__main__":
    sys.exit(main())
