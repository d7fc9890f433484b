"""Writing an image store image by image, in any order, without holding the split in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from methods.data.images import ImageSet, content_sha256, digest, digest_rows, image_bytes
from methods.files import atomic
from methods.hdf5 import create_hdf5, write_ids, write_provenance

_BLOCK = 16 << 20
Indexed = Iterable[tuple[int, np.ndarray]]


def write_images(path: str | Path, data: ImageSet, provenance: Mapping[str, Any]) -> None:
    """Write an image store, whole or not at all; the same content gives the same bytes."""
    images = ((index, data.images[index]) for index in range(len(data)))
    with image_store(path, len(data), uniform=isinstance(data.images, np.ndarray)) as store:
        store.fill(images)
        store.close(data.labels, data.sample_ids, data.classes, provenance)


@contextmanager
def image_store(path: str | Path, count: int, uniform: bool) -> Iterator["ImageStore"]:
    """A store of ``count`` images to be filled and closed; nothing is left of one that was not closed."""
    with atomic(path) as temporary:
        store = ImageStore(temporary, count, uniform)
        try:
            yield store
        finally:
            store.release()


class ImageStore:
    """Pixels wait in a raw file beside the store and are copied in image order at the end.

    So the bytes of a store do not depend on the order in which an archive gave its images.
    """

    def __init__(self, path: Path, count: int, uniform: bool) -> None:
        self.path, self.uniform = path, uniform
        self.raw: IO[bytes] = open(path.with_name(path.name[: -len(".tmp")] + ".raw.tmp"), "w+b")  # noqa: SIM115
        self.shapes = np.zeros((count, 2), dtype=np.int32)
        self.starts = np.full(count, -1, dtype=np.int64)
        self.digests = [b""] * count

    def fill(self, images: Indexed) -> None:
        """Add (index, (H, W, 3) uint8) pairs."""
        for index, image in images:
            self.starts[index] = self.raw.tell()
            self.shapes[index] = image.shape[:2]
            self.digests[index] = digest(image)
            self.raw.write(np.ascontiguousarray(image).data)

    def close(
        self, labels: np.ndarray, ids: Sequence[str], classes: Sequence[str], provenance: Mapping[str, Any]
    ) -> None:
        """Write the HDF5 file."""
        rows = digest_rows(self.digests)
        with create_hdf5(self.path) as file:
            self._copy(self._pixels(file))
            file.create_dataset("labels", data=labels)
            file.create_dataset("digests", data=rows)
            write_ids(file, ids)
            file.attrs["classes"] = json.dumps(list(classes))
            file.attrs["content_sha256"] = content_sha256(rows, labels, ids, classes)
            write_provenance(file, provenance)

    def release(self) -> None:
        """Remove the raw file."""
        with suppress(OSError):  # a full disk fails once more when what waits is written
            self.raw.close()
        Path(self.raw.name).unlink(missing_ok=True)

    def _pixels(self, file: h5py.File) -> h5py.Dataset:
        if not self.uniform:
            file.create_dataset("shapes", data=self.shapes)
            return file.create_dataset("pixels", (int(image_bytes(self.shapes).sum()),), np.uint8)
        shape = (len(self.shapes), *(int(side) for side in self.shapes[0]), 3)
        return file.create_dataset("images", shape, np.uint8)

    def _copy(self, dataset: h5py.Dataset) -> None:
        """Blocks of whole images, in image order."""
        sizes = image_bytes(self.shapes)
        block, first, place = bytearray(), 0, 0
        for index, size in enumerate(sizes):
            self.raw.seek(int(self.starts[index]))
            block += self.raw.read(int(size))
            if len(block) >= _BLOCK or index + 1 == len(sizes):
                pixels = np.frombuffer(bytes(block), dtype=np.uint8)
                if self.uniform:
                    dataset[first : index + 1] = pixels.reshape(-1, *dataset.shape[1:])
                else:
                    dataset[place : place + len(pixels)] = pixels
                first, place, block = index + 1, place + len(pixels), bytearray()
