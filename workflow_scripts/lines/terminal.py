"""Colours, where a person at a terminal sees them."""

import os
from typing import TextIO

_CODES = {"red": "\x1b[31m", "green": "\x1b[32m"}
_RESET = "\x1b[0m"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """``text`` in ``colour`` (red, green) if ``stream`` is a terminal that shows it, else as it is.

    Pipes, files, dumb terminals and whoever sets ``NO_COLOR`` get no codes.
    """
    return f"{_CODES[colour]}{text}{_RESET}" if text and in_colour(stream) else text


def in_colour(stream: TextIO) -> bool:
    """Whether ``stream`` takes codes of colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
