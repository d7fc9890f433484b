"""Class probabilities of logits, in logarithms: safe for logits of any size."""

import numpy as np
from scipy.special import log_softmax

from methods.errors import refuse


def log_probabilities(logits: np.ndarray | None, temperature: float = 1.0) -> np.ndarray:
    """(N, C) float64 log softmax(z / T) of logits z (N, C).

    Raises:
        ReproError: there is one class only, whose probability is 1 for every image.
    """
    z = np.asarray(logits, dtype=np.float64)
    refuse(z.shape[1] < 2, "A softmax over 1 class is 1 for every image: choose a score on logits, such as energy.")
    return log_softmax(z / temperature, axis=1)
