"""What the multi-label objectives share: losses of ID images, energies, sizes of classes.

Everything is written with log-sigmoid, softplus and log-sum-exp, so that large logits neither overflow nor lose their
gradient, where releases take the logarithm of an exponential or of a probability that has become 0.
"""

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus

from methods.errors import refuse
from methods.networks.model import Outputs
from methods.objectives.base import Sizes

# Name -> loss of logits (B, C) and multi-hot labels (B, C). `cross_entropy` takes the labels as soft ones that are not
# normalised: the mean over images of the summed -log softmax of all their labels.
ID_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "bce": binary_cross_entropy_with_logits,
    "cross_entropy": cross_entropy,
}


def logits_of(outputs: Outputs, outlier_outputs: Outputs | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, C) of ID images and (M, C) of outliers."""
    assert outputs.logits is not None
    assert outlier_outputs is not None
    assert outlier_outputs.logits is not None
    return outputs.logits, outlier_outputs.logits


def joint_energy(logits: torch.Tensor) -> torch.Tensor:
    """(N,) sum over classes of log(1 + exp z); higher = more in-distribution."""
    return softplus(logits).sum(dim=1)


def mean_energies(energy: torch.Tensor, outlier_energy: torch.Tensor) -> dict[str, torch.Tensor]:
    """Monitors for the history: mean JointEnergy of ID images and of outliers."""
    return {"id_energy": energy.detach().mean(), "outlier_energy": outlier_energy.detach().mean()}


def reduced(losses: torch.Tensor, reduction: str) -> torch.Tensor:
    """Sum or mean over all entries, as ``reduction`` says."""
    return losses.sum() if reduction == "sum" else losses.mean()


def class_sizes(sizes: Sizes) -> torch.Tensor:
    """n_c, training images with class c: (C,) float64.

    Raises:
        ReproError: a class without an image, of which the loss would divide by zero.
    """
    empty = [number for number, count in enumerate(sizes.counts) if count == 0]
    refuse(
        bool(empty),
        f"No training image has class {' or '.join(map(str, empty))} (counted from 0), and this loss weighs a class by "
        "how many have it: take another training split, or another objective.",
    )
    assert len(sizes.counts) == sizes.classes
    return torch.tensor(sizes.counts, dtype=torch.float64)
