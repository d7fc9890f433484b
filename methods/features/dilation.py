"""The dilation distance between ID and outlier features, by which EDGE tells outlier sets apart (Sun et al., Eq. 9).

A batch of features has a spectrum, its singular values; those of ID and of outlier images are averaged over batches of
one size, and the distance is taken between the largest of them. The number of singular values is the size of the batch,
so distances of different batch sizes cannot be compared.
"""

from collections.abc import Iterable

import numpy as np

from methods.errors import refuse

FORMS = ("paper_topk", "released_bug")


def singular_values(features: np.ndarray) -> np.ndarray:
    """(min(B, F),) singular values of (B, F) features, largest first, neither centred nor normalised; float64.

    They are the square roots of the eigenvalues of the smaller Gram matrix, which costs a fraction of a decomposition.
    Values below about 1e-8 of the largest drown in its rounding; no distance feels them.
    """
    wide = np.asarray(features, dtype=np.float64)
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    return np.asarray(np.sqrt(np.linalg.eigvalsh(gram)[::-1].clip(min=0.0)))


def mean_spectrum(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Mean over batches (B, F) of equal size of their singular values.

    Raises:
        ReproError: no batch, or batches of different sizes.
    """
    spectra = [singular_values(batch) for batch in batches]
    refuse(not spectra, "There is no whole batch of features: the dilation distance needs at least one.")
    sizes = sorted({len(spectrum) for spectrum in spectra})
    refuse(len(sizes) > 1, f"Batches give {sizes} singular values: the dilation distance needs batches of one size.")
    return np.asarray(np.mean(spectra, axis=0))


def dilation_distance(inside: np.ndarray, outside: np.ndarray, top_k: int, form: str = "paper_topk") -> float:
    """Distance between mean spectra of ID and outlier features.

    Args:
        inside: singular values of ID features, largest first.
        outside: as many of outlier features.
        top_k: how many of the largest count.
        form: ``paper_topk`` is the root of the summed squares over the first ``top_k``; ``released_bug`` is what the
            released program prints, the same over all values times the root of ``top_k``.

    Raises:
        ReproError: spectra of different lengths, or shorter than ``top_k``.
    """
    refuse(
        len(inside) != len(outside) or top_k > len(inside),
        f"Spectra of {len(inside)} and {len(outside)} values and top_k {top_k}: they need one length, top_k or more.",
    )
    gap = inside - outside
    return float(np.linalg.norm(gap[:top_k]) if form == "paper_topk" else np.sqrt(top_k) * np.linalg.norm(gap))
