"""What keeping freed memory in the process saves a training on a CPU, and what memory it costs.

    python -m benchmarks.freed_memory [--task edge] [--network efficientnet_lite0] [--side 128] [--batch 64] [--steps 5]
    python -m benchmarks.freed_memory --task adapt --batch 256 --blocks 1 1 1 --widths 16 32 64

Training steps in processes of their own: with the C library's allocator as it is, with torch's large pages
(THP_MEM_ALLOC_ENABLE=1), and as training sets it. Processor seconds of a step in the program and in the system, page
faults of a step, and the peak of the process. Processor seconds hardly depend on what else the machine does.
"""

import argparse
import os
import resource
import subprocess
import sys

import torch

from benchmarks.throughput import Step
from benchmarks.workloads import add_arguments, workload
from methods.training.device import keep_freed_memory

WAYS = {"as it is": {}, "large pages": {"THP_MEM_ALLOC_ENABLE": "1"}, "kept": {}}


def main() -> None:
    options = arguments()
    if options.way:
        measure(options)
        return
    print(f"{'freed memory':14} {'images a CPU s':>14} {'program s':>10} {'system s':>9} {'faults':>8} {'peak MiB':>9}")
    rates = {way: run(way) for way in WAYS}
    print(f"kept against as it is: {rates['kept'] / rates['as it is']:.2f} x")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, task="edge", network="efficientnet_lite0")
    parser.set_defaults(batch=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task == "edge" and options.side is None:
        options.side = 128
    return options


def run(way: str) -> float:
    """Print the line of a way; images a processor second."""
    command = [sys.executable, "-m", "benchmarks.freed_memory", *sys.argv[1:], "--way", way]
    done = subprocess.run(command, env={**os.environ, **WAYS[way]}, check=True, capture_output=True, text=True)
    rate, program, system, faults, peak = map(float, done.stdout.split())
    print(f"{way:14} {rate:14.1f} {program:10.2f} {system:9.2f} {faults:8.0f} {peak:9.0f}", flush=True)
    return rate


def measure(options: argparse.Namespace) -> None:
    """Print what `run` reads, of one process."""
    torch.set_num_threads(1)
    if options.way == "kept":
        keep_freed_memory()
    task = workload(options)
    step = Step({"precision": "fp32", "compiled": False, "fused": False}, task, torch.device("cpu"))
    for number in range(2):
        step(number)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for number in range(options.steps):
        step(number)
    after = resource.getrusage(resource.RUSAGE_SELF)
    program, system, faults = (
        (getattr(after, name) - getattr(before, name)) / options.steps for name in ("ru_utime", "ru_stime", "ru_minflt")
    )
    print(task.images / (program + system), program, system, faults, after.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
