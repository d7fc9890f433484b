"""Turning what broken or foreign files make parsers raise into a sentence that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager

from methods.errors import ReproError


@contextmanager
def parsing(name: str, what: str) -> Iterator[None]:
    """Refuse the file ``name`` if what is done inside fails; ``what``: what it should have been.

    Raises:
        ReproError: it is something else, or damaged.
    """
    try:
        yield
    except ReproError:
        raise
    except Exception as error:  # parsers of many makers raise whatever foreign bytes lead them to
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        raise ReproError(f"{name} is no {what}, or it is damaged ({reason}): get it again.") from error
