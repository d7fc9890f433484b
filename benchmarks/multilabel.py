"""Input and scores of multi-label benchmarks: images a second into training, bytes a second through the scores.

    python -m benchmarks.multilabel [--images 192] [--side 256] [--rows 40000] [--labels 80] [--rounds 5]

Input: random resized crop (area 0.5 to 1, as EDGE trains), flip and normalisation of whole batches of stored pixels,
against opening JPEG files with Pillow and torchvision's transforms, image by image. Scores: JointEnergy, MaxLogit and
MSP of float32 logits, with the time of copying them. One thread; freed memory is kept, as in training.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from torchvision import transforms

from benchmarks.common import CROP, IMAGENET, best
from benchmarks.image_store import jpeg_files
from methods.data.render import render_image
from methods.features.arrays import Features
from methods.scores import joint_energy, maxlogit, msp
from methods.training.augmentation import augment, normalise
from methods.training.device import keep_freed_memory

BATCH = 64


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    keep_freed_memory()  # as training does
    with threadpool_limits(1):
        report_input(options)
        report_scores(options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("images", 192), ("side", 256), ("rows", 40_000), ("labels", 80), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def report_input(options: argparse.Namespace) -> None:
    """Images a second of both ways, and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        paths = jpeg_files(Path(name), options.images)
        rule = {"size": options.side, "resize": "square"}
        stored = torch.from_numpy(
            np.stack([render_image(np.asarray(Image.open(path)), rule, path.name) for path in paths])
        )
        files = options.images / best(lambda: [from_file(path, options.side) for path in paths], options.rounds)
        ours = options.images / best(lambda: from_store(stored), options.rounds)
    print(
        f"training input at {options.side} pixels, images/s: files {files:.0f}, store {ours:.0f}, {ours / files:.1f} x"
    )


def from_file(path: Path, side: int) -> torch.Tensor:
    """One view as the released code makes it."""
    chain = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomResizedCrop(side, scale=(0.5, 1.0)),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET["mean"], IMAGENET["std"]),
        ]
    )
    view: torch.Tensor = chain(Image.open(path).convert("RGB"))
    return view


def from_store(stored: torch.Tensor) -> None:
    """One view of every image, in shuffled batches as the fit loop takes them."""
    draw = torch.Generator().manual_seed(0)
    for index in torch.randperm(len(stored), generator=draw).split(BATCH):
        normalise(augment(stored[index], CROP, draw), IMAGENET).contiguous(memory_format=torch.channels_last)


def report_scores(options: argparse.Namespace) -> None:
    """Milliseconds and bytes of logits a second of each score."""
    logits = np.random.default_rng(0).normal(scale=3, size=(options.rows, options.labels)).astype(np.float32)
    features = Features(
        labels=np.zeros(options.rows, np.int64), sample_ids=("",) * options.rows, embedding=logits, logits=logits
    )
    ways = {
        "copy": logits.copy,
        "JointEnergy": lambda: joint_energy.score(features, {}, {"aggregate": "sum"}),
        "MaxLogit": lambda: maxlogit.score(features, {}, {}),
        "MSP": lambda: msp.score(features, {}, {"temperature": 1.0}),
    }
    print(f"{options.rows} x {options.labels} float32 logits, {logits.nbytes / 1e6:.1f} MB")
    for name, way in ways.items():
        seconds = best(way, options.rounds)
        print(f"{name:12} {1000 * seconds:8.2f} ms {logits.nbytes / seconds / 1e9:8.2f} GB/s")


if __name__ == "__main__":
    main()
