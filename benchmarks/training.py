"""Speed of training's parts on a CPU, each against what it replaces, in one run.

    pip install kornia
    python -m benchmarks.training [--threads 1] [--rounds 3] [--only augmentation loss cider step]

Ratios are peer / ours, so above 1 we are faster. A peer that is not installed is left out and named. Peers are written
here after the description of the released pipelines: images one at a time through Pillow, masks of all pairs in the
loss, prototypes moved sample by sample, a DataLoader in front of the same network.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize, softplus
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.common import CONSTANTS, VIEWS, Task, best
from methods.networks.model import Outputs, build_model
from methods.objectives import adapt, cider
from methods.objectives.base import Context, Sizes
from methods.objectives.prototypes import initial_prototypes
from methods.training.augmentation import augment
from methods.training.augmentation import normalise as normalise_batch
from methods.training.device import keep_freed_memory

Value = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Row = tuple[str, Task, dict[str, Task], int]  # what, ours, peers, units of work

ARCHITECTURE = {
    "network": {"name": "cifar_resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]},
    "classes": 100,
    "head": None,
    "projector": {"hidden": 128, "dimension": 64},
}


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as training does
    parts = {"augmentation": augmentation, "loss": loss, "cider": prototypes, "step": step}
    print(f"{options.threads} threads, best of {options.rounds}")
    print(f"{'what':40} {'ours, s':>9} {'a second':>9} {'peer':>34} {'peer, s':>9} {'ratio':>7}")
    for part in options.only or parts:
        for what, ours, peers, work in parts[part]():
            ours()  # the first call is slower
            own = best(ours, options.rounds)
            for peer, task in peers.items():
                task()
                other = best(task, max(1, options.rounds // 2))
                print(f"{what:40} {own:9.4f} {work / own:9.0f} {peer:>34} {other:9.4f} {other / own:7.2f}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=["augmentation", "loss", "cider", "step"])
    return parser.parse_args()


def images(count: int) -> torch.Tensor:
    """(N, 32, 32, 3) uint8, smooth as photographs are."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=draw)
    fine = torch.nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)
    return (fine * 255).byte().permute(0, 2, 3, 1).contiguous()


def augmentation() -> Iterator[Row]:
    """Two views of 512 images."""
    data = images(512)
    pictures = [Image.fromarray(image) for image in data.numpy()]
    pipeline, draw = released_pipeline(), torch.Generator().manual_seed(0)
    peers: dict[str, Task] = {
        "torchvision, image by image": lambda: [pipeline(picture) for _ in range(2) for picture in pictures]
    }
    yield (
        "two views of 512 images",
        lambda: [normalise_batch(augment(data, VIEWS, draw), CONSTANTS) for _ in range(2)],
        {**peers, **kornia_batched(data)},
        1024,
    )


def released_pipeline() -> transforms.Compose:
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(32, scale=(0.2, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToTensor(),
            transforms.Normalize(**CONSTANTS),
        ]
    )


def kornia_batched(data: torch.Tensor) -> dict[str, Task]:
    try:
        from kornia import augmentation as k
    except ImportError as error:
        print(f"(kornia left out: {error})")
        return {}
    views = k.AugmentationSequential(
        k.RandomResizedCrop((32, 32), scale=(0.2, 1.0)),
        k.RandomHorizontalFlip(),
        k.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        k.RandomGrayscale(p=0.2),
        k.Normalize(torch.tensor(CONSTANTS["mean"]), torch.tensor(CONSTANTS["std"])),
    )
    return {"kornia, batched": lambda: [views(data.permute(0, 3, 1, 2).float() / 255) for _ in range(2)]}


def unit(count: int, dimension: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


def loss() -> Iterator[Row]:
    """ADAPT's criterion, forward and backward: 512 images of two views, 100 classes, 6 prototypes each."""
    rows, labels = unit(1024, 128, 1).requires_grad_(), torch.arange(512) % 100
    parameters = {name: part.get("default") for name, part in adapt.RECORD["parameters"].items()}
    start = initial_prototypes(100, 6, 128, "uniform01", torch.Generator().manual_seed(2))
    objective = adapt.Adapt(parameters, Sizes(100, 128), start)

    def ours() -> None:
        terms = objective.loss(Outputs(rows, rows, projection=rows), None, labels, Context(0, 1, 0))
        torch.autograd.grad(terms.total, rows)

    def peer() -> None:
        torch.autograd.grad(pairwise_adapt(rows, labels, start), rows)

    yield "ADAPT's loss, 1024 rows, 600 prototypes", ours, {"with masks of all pairs": peer}, 1024


def pairwise_adapt(z: torch.Tensor, labels: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The same value by masks over all rows and prototypes, a likelihood of (N, N), and a scalar read on the host."""
    y = labels.repeat(2)
    mask = (y[:, None] == (torch.arange(600) % 100)[None]).float()
    with torch.no_grad():
        masked = plan_by_division(z, start) * mask
        kept = torch.zeros_like(masked).scatter(1, masked.topk(5, dim=1).indices, 1.0)
        weight = normalize(masked * kept, p=1, dim=1)
    update = weight.T @ z
    moved = normalize(0.999 * start + 0.001 * update, dim=1)
    alignment = torch.nn.functional.cosine_similarity(update, start).mean().item()
    with torch.no_grad():
        target = normalize(plan_by_division(z, moved) * mask * kept, p=1, dim=1)
    s = softplus(z @ moved.detach().T / 0.1)
    against = torch.exp(s * (mask + (1 - mask) * (s.detach() + 1e-10) ** 0.15)).sum(1, keepdim=True)
    likelihood = -((target * s).sum(1) - torch.log(against)).mean()
    same = (torch.arange(600)[:, None] % 100 == torch.arange(600)[None] % 100).float() - torch.eye(600)
    scaled = moved @ moved.T / (0.4 * (1 + 0.5 - alignment))
    scaled = scaled - scaled.max(dim=1, keepdim=True).values.detach()
    rest = torch.log((torch.exp(scaled) * (1 - torch.eye(600))).sum(1, keepdim=True))
    return likelihood - ((same * (scaled - rest)).sum(1) / same.sum(1)).mean()


def plan_by_division(z: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """Sinkhorn's assignment, the whole matrix divided twice a round."""
    plan = torch.exp(z @ prototypes.T / 0.05).T
    plan = plan / plan.sum()
    for _ in range(3):
        plan = normalize(plan, p=1, dim=1) / plan.shape[0]
        plan = normalize(plan, p=1, dim=0) / plan.shape[1]
    return (plan * plan.shape[1]).T


def prototypes() -> Iterator[Row]:
    """CIDER's update by 1024 rows and its gradient, 100 and 10 classes."""
    for classes in (100, 10):
        rows, labels = unit(1024, 128, 1).requires_grad_(), torch.randint(0, classes, (1024,))
        start = unit(classes, 128, 3)

        def ours(z=rows, y=labels, p=start, c=classes) -> None:
            moved = cider.sequential(p, z, cider.rounds(y, c), 0.5)
            torch.autograd.grad(cider.dispersion(moved, 0.1), z)

        def peer(z=rows, y=labels, p=start) -> None:
            moved = p.clone()
            for row, label in zip(z, y.tolist(), strict=True):
                mean = normalize(0.5 * moved[label] + 0.5 * row, dim=0)
                moved = moved.index_copy(0, torch.tensor([label]), mean[None])
            torch.autograd.grad(cider.dispersion(moved, 0.1), z)

        yield f"CIDER's update, {classes} classes", ours, {"one sample at a time": peer}, 1024


class Pictures(Dataset):
    """Two views of an image, each through Pillow."""

    def __init__(self, data: torch.Tensor) -> None:
        self.data, self.pipeline = data.numpy(), released_pipeline()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        picture = Image.fromarray(np.ascontiguousarray(self.data[index]))
        return self.pipeline(picture), self.pipeline(picture)


def step() -> Iterator[Row]:
    """Eight whole training steps of 128 images of two views, small ResNet."""
    data, labels = images(1024), torch.arange(1024) % 100
    parameters = {name: part.get("default") for name, part in adapt.RECORD["parameters"].items()}
    start = initial_prototypes(100, 6, 64, "uniform01", torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    model, objective = build_model(ARCHITECTURE), adapt.Adapt(parameters, Sizes(100, 64), start)
    model = model.to(memory_format=torch.channels_last)
    optimiser, draw = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), torch.Generator().manual_seed(0)

    def descend(
        views: torch.Tensor, y: torch.Tensor, value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> None:
        optimiser.zero_grad(set_to_none=True)
        value(model(views).projection, y).backward()
        optimiser.step()

    def by_objective(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return objective.loss(Outputs(z, z, projection=z), None, y, Context(0, 1, 0)).total

    def ours() -> None:
        for part in torch.arange(1024).split(128):
            views = torch.cat([augment(data[part], VIEWS, draw) for _ in range(2)])
            views = normalise_batch(views, CONSTANTS).contiguous(memory_format=torch.channels_last)
            descend(views, labels[part], by_objective)

    def peer() -> None:
        loader = DataLoader(Pictures(data), batch_size=128, num_workers=2)
        for number, views in enumerate(loader):
            descend(torch.cat(views), labels[128 * number : 128 * (number + 1)], by_objective)

    yield "training, 1024 images of two views", ours, {"DataLoader with 2 workers": peer}, 2048


if __name__ == "__main__":
    main()
