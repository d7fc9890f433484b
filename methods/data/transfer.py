"""One URL into a part file: resumed where it stopped, tried again with patience, given up with a reason."""

import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import IO

import requests
import urllib3

from methods.data.pages import confirmed_url, is_page, page_problem, wants_page
from methods.data.part import Part
from methods.progress import LOG, TransferProgress

_PIECE = 1 << 16
_LARGEST_PAGE = 1 << 20
_MOST_PAGES = 3
_MOST_CONNECTIONS = 200  # a source that brings a little each time ends too
_TRY_AGAIN = (408, 425, 429)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class SourceFailure(Exception):
    """A URL cannot give the file, for the reason said; another may."""


class GaveUp(SourceFailure):
    """A URL's connections kept ending too early."""


class Interrupted(Exception):
    """A connection ended before the file did; the next may go on. ``wait``: seconds the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to wait for what; seconds, except where said otherwise."""

    connect_seconds: float = 20.0
    stall_seconds: float = 60.0  # without a byte
    minimum_rate: float = 1000.0  # bytes per second, over the window of slow_seconds
    slow_seconds: float = 60.0
    attempts: int = 5  # connections to one URL in a row that bring no progress
    backoff_seconds: float = 1.0  # doubled after each of them
    longest_backoff: float = 60.0
    longest_wait: float = 300.0  # that a server may ask for (Retry-After)

    def pause(self, idle: int) -> float:
        """Seconds before the next connection after ``idle`` ones without progress."""
        return min(self.longest_backoff, self.backoff_seconds * 2 ** max(idle - 1, 0))


def new_session() -> requests.Session:
    """A session that asks for files as they are: a tar.gz must not be unpacked on its way."""
    session = requests.Session()
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "ood-repro"})
    return session


def download(url: str, part: Part, patience: Patience, session: requests.Session) -> None:
    """Bring ``part`` to the whole length that ``url`` gives; whether the bytes are right is the caller's question.

    Raises:
        SourceFailure: the URL cannot give the file.
        GaveUp: the connections kept ending early; what came stays in ``part``.
        ReproError: the disk is full or cannot be written.
    """
    idle, furthest = 0, part.size
    for _ in range(_MOST_CONNECTIONS):
        start = time.monotonic()
        interruption = _connection(url, part, patience, session)
        if interruption is None:
            return
        progress = part.size - furthest > patience.minimum_rate * (time.monotonic() - start)
        idle, furthest = 0 if progress else idle + 1, max(furthest, part.size)
        if idle >= patience.attempts:
            break
        wait = max(patience.pause(idle), interruption.wait)
        LOG.info("%s: %s %s; next try in %.0f s", part.name, url, interruption, wait)
        time.sleep(wait)
    raise GaveUp(f"{interruption}, {idle or _MOST_CONNECTIONS} times")


def _connection(url: str, part: Part, patience: Patience, session: requests.Session) -> Interrupted | None:
    """One connection; None once the part is as long as it should be, else what ended it."""
    try:
        with _open(url, part, patience, session) as response:
            if response.status_code == 416:
                _past_the_end(response, part)
            else:
                _receive(response, part, _begin(response, url, part), patience)
    except Interrupted as interruption:
        return interruption
    return None


def _open(url: str, part: Part, patience: Patience, session: requests.Session) -> requests.Response:
    """The answer with the file; a page that asks for a confirmation is confirmed."""
    address, headers = url, part.range_headers(url)
    for _ in range(_MOST_PAGES):
        response = _answer(address, headers, patience, session)
        page_type = is_page(response.headers.get("Content-Type", ""))
        if response.status_code == 416 or not page_type or wants_page(part.name):
            return response
        with response:
            page = _read_page(response, patience)
            following = confirmed_url(page, response.url)
        if following is None:
            raise SourceFailure(page_problem(page))
        address = following
    raise SourceFailure(f"asked {_MOST_PAGES} times for a confirmation and never gave the file")


def _answer(url: str, headers: dict[str, str], patience: Patience, session: requests.Session) -> requests.Response:
    timeout = (patience.connect_seconds, patience.stall_seconds)
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout)
    except (ValueError, requests.TooManyRedirects) as error:  # requests' errors about URLs are ValueErrors
        raise SourceFailure(f"cannot be asked: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Interrupted(_reason(error, patience)) from error
    if response.status_code in (200, 206, 416):
        return response
    with response:
        raise _refusal(response, patience)


def _refusal(response: requests.Response, patience: Patience) -> Exception:
    reason = f"answered {response.status_code} {response.reason}"
    if response.status_code < 500 and response.status_code not in _TRY_AGAIN:
        return SourceFailure(reason)
    wait = _retry_after(response.headers.get("Retry-After", ""))
    if wait > patience.longest_wait:
        return SourceFailure(f"{reason} and asks to wait {wait:.0f} s")
    return Interrupted(reason, wait)


def _retry_after(text: str) -> float:
    """Seconds of a Retry-After header, which has seconds or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _past_the_end(response: requests.Response, part: Part) -> None:
    """The part is as long as the file or longer: keep it where its length fits, else start again."""
    announced = response.headers.get("Content-Range", "").rpartition("/")[2]
    length = part.file.get("size", int(announced) if announced.isdigit() else None)
    if not part.size or (length != part.size and not (length is None and part.verifiable)):
        part.drop()
        raise Interrupted("has fewer bytes than came before")
    part.resumed = True


def _begin(response: requests.Response, url: str, part: Part) -> int | None:
    """Make the part ready for the body of ``response``; give the whole file's length where it is known."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if response.status_code == 206:
        if not found or int(found[1]) != part.size or part.other_version(url, response.headers):
            part.drop()
            raise Interrupted("answered with another range than asked for")
        announced = found[2]
    else:
        announced = response.headers.get("Content-Length", "")
    size = part.file.get("size")
    total = int(announced) if announced.isdigit() else size
    if size is not None and total != size:
        raise SourceFailure(f"has {total} bytes, the catalog expects {size}")
    part.require_room(total)
    if response.status_code == 200 or part.size == 0:
        part.restart(url, response.headers)
    else:
        part.resumed = True
    return total


def _receive(response: requests.Response, part: Part, total: int | None, patience: Patience) -> None:
    progress = TransferProgress(part.name, total, part.size)
    try:
        with part.writing(), open(part.path, "ab") as handle:
            for piece in _pieces(response, patience):
                _write(handle, piece)
                progress.update(len(piece))
                if total is not None and progress.done > total:
                    break
    finally:
        progress.close()
    if total is not None and part.size > total:
        part.drop()
        raise SourceFailure(f"sends more than the {total} bytes expected")
    if total is not None and part.size < total:
        raise Interrupted(f"ended after {part.size} of {total} bytes")


def _write(handle: IO[bytes], piece: bytes) -> None:
    handle.write(piece)


def _pieces(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """The body as it comes; a window that is slower than the least rate ends it."""
    start, got = time.monotonic(), 0
    while piece := _read(response, patience):
        yield piece
        got += len(piece)
        seconds = time.monotonic() - start
        if seconds >= patience.slow_seconds:
            if got < patience.minimum_rate * seconds:
                raise Interrupted(f"sent only {got} bytes in {seconds:.0f} s")
            start, got = time.monotonic(), 0


def _read(response: requests.Response, patience: Patience) -> bytes:
    try:
        # read1 gives what one packet brought: read would wait for a whole piece and never see a slow drip.
        return response.raw.read1(_PIECE, decode_content=False)
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        raise Interrupted(_reason(error, patience)) from error


def _read_page(response: requests.Response, patience: Patience) -> bytes:
    page = b""
    for piece in _pieces(response, patience):
        page += piece
        if len(page) >= _LARGEST_PAGE:
            break
    return page


def _reason(error: BaseException, patience: Patience) -> str:
    """A sentence for an error of the connection: its root says more than the layers around it."""
    if isinstance(error, requests.ConnectTimeout):
        return f"gave no connection within {patience.connect_seconds:g} s"
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return f"sent nothing for {patience.stall_seconds:g} s"
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = (str(getattr(error, "strerror", None) or error) or type(error).__name__).splitlines()[0]
    unreachable = isinstance(error, socket.gaierror | ConnectionRefusedError)
    return f"cannot be reached ({text})" if unreachable else f"broke the connection ({text})"
