"""What `benchmarks.throughput` times: one training step of ADAPT or of EDGE, as the fit loop takes it."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from benchmarks.common import CONSTANTS, CROP, IMAGENET, VIEWS
from methods import registry
from methods.networks.model import Outputs
from methods.objectives import adapt, edge
from methods.objectives.base import Objective, Sizes
from methods.objectives.prototypes import initial_prototypes
from methods.training.augmentation import augment, normalise
from methods.training.outliers import forward_with_outliers

NETWORKS = {  # of EDGE's task; weights have no influence on speed
    "resnet50": {"name": "resnet", "depth": 50, "weights": "none"},
    "densenet121": {"name": "densenet121", "weights": "none"},
    "efficientnet_lite0": {"name": "efficientnet_lite0", "weights": "none"},
}


class Workload(NamedTuple):
    """A training to time.

    Attributes:
        title: what the first line of the report says of it.
        architecture: network, classes, head and projector.
        side: pixels of an image.
        batch: ID images of a step.
        views: of each ID image.
        outliers: outlier images of a step.
        stored: images that batches are drawn from.
        passing: ID images of an epoch.
        epochs: of the paper, for the projected hours.
        augmentation: what a view goes through.
        constants: channel statistics.
        objective: the objective's maker.
    """

    title: str
    architecture: dict[str, Any]
    side: int
    batch: int
    views: int
    outliers: int
    stored: int
    passing: int
    epochs: int
    augmentation: dict[str, Any]
    constants: dict[str, Any]
    objective: Callable[[], Objective]

    @property
    def images(self) -> int:
        """Images that go through the network in one step."""
        return self.batch * self.views + self.outliers

    def pool(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Random images (N, side, side, 3) uint8 and labels: (N,) int64, or (N, C) float of several labels."""
        classes, count = self.architecture["classes"], self.stored
        images = torch.randint(0, 256, (count, self.side, self.side, 3), dtype=torch.uint8, device=device)
        if self.outliers:
            return images, (torch.rand(count, classes, device=device) < 0.1).float()
        return images, torch.randint(0, classes, (count,), device=device)

    def input(self, images: torch.Tensor, views: int, draw: torch.Generator) -> torch.Tensor:
        """Normalised views of a batch, view-major."""
        drawn = torch.cat([augment(images, self.augmentation, draw) for _ in range(views)])
        return normalise(drawn, self.constants).contiguous(memory_format=torch.channels_last)

    def forward(
        self,
        model: torch.nn.Module,
        x: torch.Tensor,
        outliers: torch.Tensor | None,
        network: Callable[..., Outputs] | None = None,
    ) -> tuple[Outputs, Outputs | None]:
        """Outputs of the ID views and of the outliers, by ``network`` where the model is compiled."""
        if outliers is None:
            return (network or model)(x).float(), None
        return forward_with_outliers(model, x, outliers, "split_domains", network)


def add_arguments(parser: argparse.ArgumentParser, task: str, network: str) -> None:
    """Options that :func:`workload` reads, with the defaults of a benchmark."""
    parser.add_argument("--task", default=task, choices=["adapt", "edge"])
    parser.add_argument("--network", default=network, choices=NETWORKS, help="of --task edge")
    parser.add_argument("--blocks", type=int, nargs="+", default=[3, 4, 6, 3], help="of --task adapt")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512], help="of --task adapt")
    for name in ("batch", "side"):
        parser.add_argument(f"--{name}", type=int)


def workload(options: argparse.Namespace) -> Workload:
    """The task that the command line names, with the sizes of its paper where it names none."""
    return {"adapt": of_adapt, "edge": of_edge}[options.task](options)


def of_adapt(options: argparse.Namespace) -> Workload:
    """ADAPT on CIFAR-100: two views of every image."""
    network = {"name": "cifar_resnet", "blocks": options.blocks, "widths": options.widths[: len(options.blocks)]}
    return Workload(
        title="ADAPT, CIFAR-100",
        architecture={
            "network": network,
            "classes": 100,
            "head": None,
            "projector": {"hidden": 512, "dimension": 128},
        },
        side=options.side or 32,
        batch=options.batch or 512,
        views=2,
        outliers=0,
        stored=5000,
        passing=50_000,
        epochs=500,
        augmentation=VIEWS,
        constants=CONSTANTS,
        objective=adapt_objective,
    )


def adapt_objective() -> Objective:
    """Six prototypes a class, as on CIFAR-100."""
    first = initial_prototypes(100, 6, 128, "uniform01", torch.Generator().manual_seed(1))
    return adapt.Adapt(defaults(adapt.RECORD), Sizes(100, 128), first)


def of_edge(options: argparse.Namespace) -> Workload:
    """EDGE on VOC 2012: as many outliers as ID images in every step."""
    batch, network = options.batch or 128, NETWORKS[options.network]
    return Workload(
        title=f"EDGE, VOC 2012, {options.network}",
        architecture={
            "network": {**defaults(registry.load("networks", network["name"]).RECORD), **network},
            "classes": 20,
            "head": {"kind": "two_layer", "hidden": 1000},
            "projector": None,
        },
        side=options.side or 256,
        batch=batch,
        views=1,
        outliers=batch,
        stored=512,
        passing=5717,
        epochs=100,
        augmentation=CROP,
        constants=IMAGENET,
        objective=lambda: edge.Edge(defaults(edge.RECORD)),
    )


def defaults(record: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a method or network as its record gives them."""
    return {name: part.get("default") for name, part in record["parameters"].items()}
