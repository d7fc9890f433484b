"""Training throughput of ADAPT on one device: images a second, share of peak, milliseconds of each part of a step.

    python -m benchmarks.throughput [--device auto] [--batch 512] [--steps 20] [--epochs 500] [--peak 989]
        [--blocks 3 4 6 3] [--widths 64 128 256 512] [--threads 1] [--only bf16 ...]

Every combination of precision, torch.compile and fused optimiser is timed, parts by events on the device, so that
nothing waits in between. --peak is the arithmetic peak of the device in TFLOP/s at the precision that is compared
(H100 SXM: 989 for dense bf16); without it, that of a GPU is 989 and that of a CPU what a matrix product of the same run
reaches. The projected time is that of --epochs passes over 50,000 images in two views.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.common import CONSTANTS, VIEWS
from methods.networks.model import OODModel, build_model
from methods.objectives import adapt
from methods.objectives.base import Context, Objective, Sizes
from methods.objectives.prototypes import initial_prototypes
from methods.training.augmentation import augment, normalise
from methods.training.device import autocast, choose_device, upload
from methods.training.randomness import generator

IMAGES, TWO = 50_000, 2  # in a pass, views of each
PARTS = ("augment", "forward", "loss", "backward", "optimiser")


def main() -> None:
    options = arguments()
    device = choose_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    torch.set_num_threads(options.threads)
    if options.peak is None:
        options.peak = 989.0 if device.type == "cuda" else product_rate()
    print(f"{name}, torch {torch.__version__}, batch {options.batch} x {TWO} views, {options.steps} steps")
    print(f"peak taken as {options.peak:.3g} TFLOP/s")
    print(f"{'switches':34} {'images/s':>9} {'of peak':>8} {'hours':>6}  ms a step: {' '.join(PARTS)}")
    for switches in combinations(device, options.only):
        report(switches, options, device)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    for name, value in (("batch", 512), ("steps", 20), ("epochs", 500)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--peak", type=float)
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--blocks", type=int, nargs="+", default=[3, 4, 6, 3])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512])
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


def report(switches: dict[str, Any], options: argparse.Namespace, device: torch.device) -> None:
    """Time one combination and print its line."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = switches["precision"] == "tf32"
    torch.backends.cudnn.benchmark = True
    step = Step(switches, options, device)
    for number in range(3):  # compilation and the choice of kernels
        step(number)
    clock = Clock(device)
    start = clock.now()
    for number in range(options.steps):
        step(number, clock)
    seconds = clock.between(start, clock.now()) / options.steps
    rate = options.batch * TWO / seconds
    share = 3 * 2 * step.macs * rate / (options.peak * 1e12)
    hours = options.epochs * IMAGES * TWO / rate / 3600
    parts = " ".join(f"{1000 * clock.parts[part] / options.steps:.2f}" for part in PARTS)
    print(f"{switches['name']:34} {rate:9.0f} {100 * share:7.1f}% {hours:6.2f}  {parts}", flush=True)


class Step:
    """One training step of ADAPT as the fit loop takes it."""

    def __init__(self, switches: dict[str, Any], options: argparse.Namespace, device: torch.device) -> None:
        torch.manual_seed(0)
        network = {"name": "cifar_resnet", "blocks": options.blocks, "widths": options.widths[: len(options.blocks)]}
        projector = {"hidden": 512, "dimension": 128}
        self.model: OODModel = build_model({"network": network, "classes": 100, "head": None, "projector": projector})
        self.macs = multiplications(self.model)
        self.model = self.model.to(device).to(memory_format=torch.channels_last)
        self.network: Callable[..., Any] = torch.compile(self.model) if switches["compiled"] else self.model
        parameters = {name: part.get("default") for name, part in adapt.RECORD["parameters"].items()}
        first = initial_prototypes(100, 6, 128, "uniform01", torch.Generator().manual_seed(1))
        self.objective: Objective = adapt.Adapt(parameters, Sizes(100, 128), first).to(device)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=switches["fused"] or None
        )
        self.precision, self.device, self.batch = switches["precision"], device, options.batch
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        self.images = torch.randint(0, 256, (IMAGES // 10, 32, 32, 3), dtype=torch.uint8, device=device)
        self.labels = torch.randint(0, 100, (IMAGES // 10,), device=device)

    def __call__(self, number: int, clock: "Clock | None" = None) -> None:
        draw, mark = generator(0, "augmentation", 0, number), clock.mark if clock else (lambda part: None)
        index = upload(torch.randint(0, len(self.images), (self.batch,), generator=draw), self.device)
        mark("")
        views = torch.cat([augment(self.images[index], VIEWS, draw) for _ in range(TWO)])
        x = normalise(views, CONSTANTS).contiguous(memory_format=torch.channels_last)
        mark("augment")
        with autocast(self.device, self.precision):
            outputs = self.network(x).float()
        mark("forward")
        total = self.objective.loss(outputs, None, self.labels[index], Context(0, 1, number)).total
        mark("loss")
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        mark("backward")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.objective.commit(skipped=False)
        mark("optimiser")


def product_rate(size: int = 1024, times: int = 10) -> float:
    """TFLOP/s of the best of several float32 products of two square matrices on the CPU."""
    matrix, seconds = torch.randn(size, size), []
    for _ in range(times):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e12


def multiplications(model: OODModel) -> int:
    """Multiply-adds of convolutions and linear layers for one image of 32 pixels."""
    total = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        places = output.shape[2] * output.shape[3] if output.ndim == 4 else 1
        total += weight.numel() * places

    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 32, 32))
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
