"""Random access to large images: the store's forms against decoding JPEG files with Pillow every epoch.

    python -m benchmarks.image_store [--images 400] [--short-side 320] [--crop 256]

Pictures are cut from the two photographs that scikit-learn ships (500x375 pixels, JPEG quality 90). Every way gives the
same thing, shuffled: a batch of random resized crops (area 0.5 to 1, as EDGE trains), uint8. One thread. Each way is
timed `--rounds` times in turn, the best round counts, and the ratio to the files is printed with the size on disk.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from methods.data.image_writer import image_store
from methods.data.images import Ragged, read_images
from methods.data.render import render_image

Box = tuple[int, int, int, int]  # left, top, right, bottom
Give = Callable[[int, Box | None, int], np.ndarray]  # image, box, side -> the whole image or a crop of it


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = jpeg_files(folder, options.images)
        ways = dict(every_way(folder, files, {"size": options.short_side, "resize": "short_side"}))
        best = dict.fromkeys(ways, float("inf"))
        for number in range(options.rounds):
            for way, (give, shapes, _) in ways.items():
                best[way] = min(best[way], seconds(give, shapes, options.crop, seed=number))
        report(ways, best, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--short-side", type=int, default=320, help="of the stored images, pixels")
    parser.add_argument("--crop", type=int, default=256, help="side of the crops, pixels; 0: read only, no crop")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def jpeg_files(folder: Path, count: int) -> list[Path]:
    random, photographs = np.random.RandomState(0), load_sample_images().images
    paths = []
    for number in range(count):
        photograph = photographs[number % 2]
        top, left = random.randint(photograph.shape[0] - 374), random.randint(photograph.shape[1] - 499)
        picture = Image.fromarray(photograph[top : top + 375, left : left + 500])
        paths.append(folder / f"{number}.jpg")
        picture.save(paths[-1], quality=90)
    return paths


def every_way(folder: Path, files: list[Path], render: dict) -> Iterator[tuple[str, tuple]]:
    """Name -> (what gives an image, shapes of the images, bytes on disk)."""

    def opened(index: int) -> Image.Image:
        return Image.open(files[index]).convert("RGB")

    yield "JPEG files", (by_pillow(opened), [(375, 500)] * len(files), sum(path.stat().st_size for path in files))
    small = [render_image(np.asarray(opened(index)), render, "") for index in range(len(files))]
    shapes = [image.shape[:2] for image in small]
    for name, (read, size) in {
        "store, JPEG bytes": jpeg_bytes(small),
        "store, HDF5 chunk an image": chunks(folder / "chunks.h5", small),
        "store, contiguous and mapped": mapped(folder / "store.h5", small),
    }.items():
        yield name, (by_pillow(lambda index, read=read: Image.fromarray(read(index))), shapes, size)
    yield "the same, crops by torch", (by_torch(read), shapes, size)


def by_pillow(read: Callable[[int], Image.Image]) -> Give:
    def give(index: int, box: Box | None, side: int) -> np.ndarray:
        picture = read(index)
        return np.array(picture.resize((side, side), Image.Resampling.BILINEAR, box=box) if box else picture)

    return give


def by_torch(read: Callable[[int], np.ndarray]) -> Give:
    """Torch resizes uint8 with antialiasing too, within one grey level of Pillow."""

    def give(index: int, box: Box | None, side: int) -> np.ndarray:
        if box is None:
            return np.array(read(index))
        left, top, right, bottom = box
        region = torch.from_numpy(np.array(read(index)[top:bottom, left:right])).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(region, (side, side), mode="bilinear", antialias=True)
        return resized[0].permute(1, 2, 0).numpy()

    return give


def jpeg_bytes(images: list[np.ndarray]) -> tuple[Callable[[int], np.ndarray], int]:
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=95)
        encoded.append(buffer.getvalue())
    return lambda index: np.asarray(Image.open(io.BytesIO(encoded[index])).convert("RGB")), sum(map(len, encoded))


def chunks(path: Path, images: list[np.ndarray]) -> tuple[Callable[[int], np.ndarray], int]:
    longest = max(image.size for image in images)
    with h5py.File(path, "w") as file:
        pixels = file.create_dataset("pixels", (len(images), longest), np.uint8, chunks=(1, longest))
        for index, image in enumerate(images):
            pixels[index, : image.size] = image.ravel()
    opened = h5py.File(path)["pixels"]
    return lambda index: opened[index, : images[index].size].reshape(images[index].shape), path.stat().st_size


def mapped(path: Path, images: list[np.ndarray]) -> tuple[Callable[[int], np.ndarray], int]:
    """The store of this project."""
    names = [str(index) for index in range(len(images))]
    with image_store(path, len(images), uniform=False) as store:
        store.fill(enumerate(images))
        store.close(np.full(len(images), -1), names, [], {"kind": "images", "settings": {}})
    found = read_images(path).images
    assert isinstance(found, Ragged)
    return found.__getitem__, path.stat().st_size


def seconds(give: Give, shapes: list[tuple[int, int]], crop: int, seed: int) -> float:
    random = np.random.RandomState(seed)
    start = time.perf_counter()
    for index in random.permutation(len(shapes)):
        give(int(index), random_box(shapes[index], random) if crop else None, crop)
    return time.perf_counter() - start


def random_box(shape: tuple[int, int], random: np.random.RandomState) -> Box:
    """A box of 0.5 to 1 of the area, aspect ratio kept."""
    share = random.uniform(0.5, 1) ** 0.5
    height, width = int(shape[0] * share), int(shape[1] * share)
    top, left = random.randint(shape[0] - height + 1), random.randint(shape[1] - width + 1)
    return left, top, left + width, top + height


def report(ways: dict[str, tuple], best: dict[str, float], options: argparse.Namespace) -> None:
    what = f"crops of {options.crop}" if options.crop else "whole images, no crop"
    print(f"{options.images} pictures of 500x375, short side {options.short_side} in the stores, {what}, one thread")
    print(f"{'way':30} {'images/s':>9} {'ratio':>6} {'kB/image':>9}")
    for way, (*_, size) in ways.items():
        rate = options.images / best[way]
        print(f"{way:30} {rate:9.0f} {best['JPEG files'] / best[way]:6.2f} {size / options.images / 1000:9.1f}")


if __name__ == "__main__":
    main()
