"""The one error a user is meant to read."""


class ReproError(Exception):
    """Something a user can mend: the message says what was found, what was expected and what to do."""


def refuse(condition: bool, message: str) -> None:
    """Raise :class:`ReproError` with ``message`` if ``condition`` holds."""
    if condition:
        raise ReproError(message)
