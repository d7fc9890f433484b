"""Random numbers that depend on (seed, purpose, epoch, step) and on nothing else.

No global state and no worker count takes part, so a resumed run draws what the uninterrupted one would have.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, epoch: int = 0, step: int = 0) -> torch.Generator:
    """A CPU generator; parameters are drawn there and sent to the device, so every device sees the same."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
