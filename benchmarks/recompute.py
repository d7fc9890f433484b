"""What `hardware.recompute_activations` saves and costs: a training step with and without it, on a CPU.

    python -m benchmarks.recompute --images 64

Each case runs in a process of its own: peak memory of the process above what it took before the step, with an allocator
told to give back what is free, and processor seconds of the step.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import torch

from methods import registry
from methods.training.recompute import recompute_blocks

NETWORKS = {
    "cifar_resnet (34 layers)": ("cifar_resnet", {"blocks": [3, 4, 6, 3], "widths": [64, 128, 256, 512]}, 32),
    "resnet (50 layers)": ("resnet", {"depth": 50, "weights": "none"}, 224),
    "densenet121": ("densenet121", {"weights": "none"}, 224),
    "efficientnet_lite0": ("efficientnet_lite0", {"weights": "none", "norm_momentum": 0.01}, 224),
}
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "THP_MEM_ALLOC_ENABLE": "0"}


def measure(name: str, recomputed: bool, images: int, threads: int) -> None:
    """Print peak bytes of a step and its seconds."""
    torch.set_num_threads(threads)
    module, parameters, side = NETWORKS[name]
    network = registry.load("networks", module).build(parameters).train().to(memory_format=torch.channels_last)
    if recomputed:
        recompute_blocks(network)
    inputs = torch.randn(images, 3, side, side).contiguous(memory_format=torch.channels_last)
    before = peak()
    begun = time.process_time()
    network(inputs).square().mean().backward()
    print(peak() - before, time.process_time() - begun)


def peak() -> int:
    """Largest memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="of 32 pixels a side; of 224 an eighth of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", nargs=2, metavar=("NETWORK", "RECOMPUTED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        measure(options.case[0], options.case[1] == "True", options.images, options.threads)
        return
    print("| network | images | peak MB | recomputed | seconds | recomputed |\n|---|---|---|---|---|---|")
    for name, (_, _, side) in NETWORKS.items():
        images, cells = options.images if side == 32 else max(options.images // 8, 2), []
        for recomputed in (False, True):
            command = [sys.executable, "-m", "benchmarks.recompute", "--case", name, str(recomputed)]
            command += ["--images", str(images), "--threads", str(options.threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **GIVES_BACK})
            size, seconds = done.stdout.split()
            cells.append((int(size) / 1e6, float(seconds)))
        (plain, slow), (less, slower) = cells
        print(f"| {name} | {images} of {side} px | {plain:.0f} | {less:.0f} | {slow:.1f} | {slower:.1f} |", flush=True)


if __name__ == "__main__":
    main()
