"""Training throughput of ADAPT or EDGE on one device: images a second, share of peak, where a step's time goes.

    python -m benchmarks.throughput [--task adapt] [--device auto] [--batch 512] [--steps 20] [--epochs 500]
        [--blocks 3 4 6 3] [--widths 64 128 256 512] [--peak 989] [--threads 1] [--only bf16 ...]
    python -m benchmarks.throughput --task edge [--network resnet50] [--side 256] [--batch 128] ...

Every combination of precision, torch.compile and fused optimiser is timed, parts by events on the device, so that
nothing waits in between. --peak is the arithmetic peak of the device in TFLOP/s at the precision that is compared
(H100 SXM: 989 for dense bf16); without it, that of a GPU is 989 and that of a CPU what a matrix product of the same
run reaches. The projected time is that of --epochs passes over the training images: CIFAR-100's in two views, or VOC
2012's with as many outliers. Images are random; reading the image store is timed by benchmarks.multilabel.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.workloads import Workload, add_arguments, workload
from methods.networks.model import OODModel, build_model
from methods.objectives.base import Context
from methods.training.device import autocast, choose_device, keep_freed_memory, upload
from methods.training.randomness import generator

PARTS = ("augment", "forward", "loss", "backward", "optimiser")


def main() -> None:
    options = arguments()
    device = choose_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    torch.set_num_threads(options.threads)
    if device.type == "cpu":
        keep_freed_memory()  # as training does
    if options.peak is None:
        options.peak = 989.0 if device.type == "cuda" else product_rate()
    task = workload(options)
    print(f"{name}, torch {torch.__version__}, {task.title} at {task.side} pixels, {options.steps} steps")
    print(f"batch {task.batch} x {task.views} views and {task.outliers} outliers")
    print(f"peak taken as {options.peak:.3g} TFLOP/s")
    print(f"{'switches':34} {'images/s':>9} {'of peak':>8} {'hours':>6}  ms a step: {' '.join(PARTS)}")
    for switches in combinations(device, options.only):
        report(switches, options, device, task)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_arguments(parser, task="adapt", network="resnet50")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--peak", type=float)
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--only", nargs="*", help="words that a combination must have: bf16 compiled fused")
    return parser.parse_args()


def combinations(device: torch.device, only: list[str] | None) -> Iterator[dict[str, Any]]:
    """Precision, compilation and optimiser in all combinations; on a CPU float32 and bfloat16, as it is."""
    if device.type == "cuda":
        precisions, compiled, fused = ("fp32", "tf32", "bf16", "fp16"), (False, True), (False, True)
    else:
        precisions, compiled, fused = ("fp32", "bf16"), (False,), (False,)
    for precision, compiles, fuses in itertools.product(precisions, compiled, fused):
        words = [precision, *(["compiled"] if compiles else []), *(["fused"] if fuses else [])]
        if set(only or ()) <= set(words):
            yield {"name": " ".join(words), "precision": precision, "compiled": compiles, "fused": fuses}


def report(switches: dict[str, Any], options: argparse.Namespace, device: torch.device, task: Workload) -> None:
    """Time one combination and print its line."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = switches["precision"] == "tf32"
    torch.backends.cudnn.benchmark = True
    step = Step(switches, task, device)
    for number in range(3):  # compilation and the choice of kernels
        step(number)
    clock = Clock(device)
    start = clock.now()
    for number in range(options.steps):
        step(number, clock)
    seconds = clock.between(start, clock.now()) / options.steps
    rate = task.images / seconds
    share = 3 * 2 * step.macs * rate / (options.peak * 1e12)
    hours = (options.epochs or task.epochs) * task.passing / task.batch * seconds / 3600
    parts = " ".join(f"{1000 * clock.parts[part] / options.steps:.2f}" for part in PARTS)
    print(f"{switches['name']:34} {rate:9.0f} {100 * share:7.1f}% {hours:6.2f}  {parts}", flush=True)


class Step:
    """One training step as the fit loop takes it."""

    def __init__(self, switches: dict[str, Any], task: Workload, device: torch.device) -> None:
        torch.manual_seed(0)
        self.model: OODModel = build_model(task.architecture)
        self.macs = multiplications(self.model, task.side)
        self.model = self.model.to(device).to(memory_format=torch.channels_last)
        self.network: Callable[..., Any] | None = torch.compile(self.model) if switches["compiled"] else None
        self.objective = task.objective().to(device)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=switches["fused"] or None
        )
        self.precision, self.device, self.task = switches["precision"], device, task
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        self.images, self.labels = task.pool(device)

    def __call__(self, number: int, clock: "Clock | None" = None) -> None:
        draw, mark = generator(0, "augmentation", 0, number), clock.mark if clock else (lambda part: None)
        index, others = self._drawn(self.task.batch, draw), self._drawn(self.task.outliers, draw)
        mark("")
        x = self.task.input(self.images[index], self.task.views, draw)
        outliers = self.task.input(self.images[others], 1, draw) if self.task.outliers else None
        mark("augment")
        with autocast(self.device, self.precision):
            inside, outside = self.task.forward(self.model, x, outliers, self.network)
        mark("forward")
        # The last epoch of a hundred: every term of the loss has begun
        total = self.objective.loss(inside, outside, self.labels[index], Context(99, 100, number)).total
        mark("loss")
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        mark("backward")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.objective.commit(skipped=False)
        mark("optimiser")

    def _drawn(self, count: int, draw: torch.Generator) -> torch.Tensor:
        """Places of ``count`` images, on the device."""
        return upload(torch.randint(0, len(self.images), (count,), generator=draw), self.device)


def product_rate(size: int = 1024, times: int = 10) -> float:
    """TFLOP/s of the best of several float32 products of two square matrices on the CPU."""
    matrix, seconds = torch.randn(size, size), []
    for _ in range(times):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e12


def multiplications(model: OODModel, side: int) -> int:
    """Multiply-adds of convolutions and linear layers for one image of ``side`` pixels."""
    total = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        places = output.shape[2] * output.shape[3] if output.ndim == 4 else 1
        total += weight.numel() * places

    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    model.train()
    return total


class Clock:
    """Seconds of each part, by events on a GPU and by the clock on a CPU; read at the end."""

    def __init__(self, device: torch.device) -> None:
        self.gpu = device.type == "cuda"
        self.marks: list[tuple[str, Any]] = []

    def now(self) -> Any:
        if not self.gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def mark(self, part: str) -> None:
        """The part ends here; an unnamed one is not counted."""
        self.marks.append((part, self.now()))

    def between(self, start: Any, end: Any) -> float:
        if not self.gpu:
            return end - start
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000

    @property
    def parts(self) -> dict[str, float]:
        found = dict.fromkeys(PARTS, 0.0)
        for (_, start), (part, end) in itertools.pairwise(self.marks):
            if part:
                found[part] += self.between(start, end)
        return found


if __name__ == "__main__":
    main()
