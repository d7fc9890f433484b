"""Weights that a training starts from: a file of others loaded into a backbone, strictly."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from methods.networks.foreign import match_tensors, read_checkpoint

_COUNTS = (".num_batches_tracked",)  # older files lack them; with a fixed momentum nothing reads them
_REMEDY = (
    "These are no weights of this network: delete the file, so that the right one is fetched, or look at the "
    "parameters of the benchmark's network."
)


def start_from(
    network: nn.Module, parameters: Mapping[str, Any], rename: Callable[[str], str | None], ignore: Iterable[str]
) -> None:
    """Load the file at ``parameters["pretrained"]`` into ``network``; without that key the network stays as it is.

    A training is told the place of the file; whoever takes up a trained network is not, and has its tensors already.

    Args:
        network: the backbone.
        parameters: of the network.
        rename: name in the file -> name in the network, None if there is no such tensor.
        ignore: beginnings of names that are left out, those of the file's classifier.

    Raises:
        ReproError: the file is missing, damaged or holds more than tensors, or a tensor is missing, unexpected or of
            another shape; names them.
    """
    path = parameters.get("pretrained")
    if path is not None:
        own = network.state_dict()
        found = match_tensors(read_checkpoint(path), own, rename, ignore, str(path), remedy=_REMEDY, optional=_COUNTS)
        network.load_state_dict({**own, **found})
