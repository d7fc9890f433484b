"""What several benchmarks share."""

import time
from collections.abc import Callable

Task = Callable[[], object]

# The contrastive papers' views and channel statistics of CIFAR-100
CONSTANTS = {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]}
VIEWS = {
    "random_resized_crop": {"area": [0.2, 1.0], "aspect": [3 / 4, 4 / 3]},
    "horizontal_flip": 0.5,
    "colour_jitter": {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "grayscale": 0.2,
}

# EDGE's view of a photograph, and ImageNet's channel statistics
CROP = {"horizontal_flip": 0.5, "random_resized_crop": {"area": [0.5, 1.0], "aspect": [3 / 4, 4 / 3]}}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def best(task: Task, rounds: int) -> float:
    """Least seconds of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)
