"""Where links of Google Drive and Dropbox lead, and what first bytes are: a web page, a known format."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

_DRIVE = "https://drive.usercontent.google.com/download"
_DRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
_DROPBOX_HOSTS = ("dropbox.com", "www.dropbox.com")

# Suffix -> (offset, what the bytes there may begin with, the format's name).
_MAGIC: Mapping[str, tuple[int, tuple[bytes, ...], str]] = {
    ".gz": (0, (b"\x1f\x8b",), "gzip"),
    ".tgz": (0, (b"\x1f\x8b",), "gzip"),
    ".zip": (0, (b"PK",), "zip"),
    ".tar": (257, (b"ustar",), "tar"),
    ".mat": (0, (b"MATLAB 5.0", b"MATLAB 7.3"), "MATLAB"),
    ".xz": (0, (b"\xfd7zXZ\x00",), "xz"),
    ".bz2": (0, (b"BZh",), "bzip2"),
    ".rar": (0, (b"Rar!\x1a\x07",), "rar"),
    ".pth": (0, (b"PK", b"\x80"), "PyTorch"),
}


def direct_url(url: str) -> str:
    """The address that gives the file itself where ``url`` is a Google Drive or Dropbox link, else ``url``.

    A Drive file may also be written ``drive:<id>``. Other query parts that open a file (``resourcekey`` of Drive,
    ``rlkey`` of Dropbox) are kept.
    """
    parts = urlsplit(url)
    if parts.scheme == "drive":
        return _drive_download(parts.path, {})
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    if parts.hostname in _DRIVE_HOSTS:
        in_path = re.match(r"/file/d/([\w-]+)", parts.path)
        identity = in_path[1] if in_path else query.get("id")
        return _drive_download(identity, query) if identity else url
    if parts.hostname in _DROPBOX_HOSTS:
        kept = [(key, value) for key, value in parse_qsl(parts.query) if key not in ("dl", "raw")]
        return urlunsplit(parts._replace(query=urlencode([*kept, ("dl", "1")]), fragment=""))
    return url


def _drive_download(identity: str, query: Mapping[str, str]) -> str:
    asked = {"id": identity, "export": "download", "confirm": "t"}
    if "resourcekey" in query:
        asked["resourcekey"] = query["resourcekey"]
    return f"{_DRIVE}?{urlencode(asked)}"


class _Page(HTMLParser):
    """Title, and action and hidden inputs of the form with the id ``download-form``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title, self.action = "", ""
        self.inputs: dict[str, str] = {}
        self._in_title = self._in_form = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "title":
            self._in_title = not self.title
        elif tag == "form":
            self._in_form = values.get("id") == "download-form"
            self.action = values.get("action", "") if self._in_form else self.action
        elif tag == "input" and self._in_form and values.get("type") == "hidden" and "name" in values:
            self.inputs[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"
        self._in_form = self._in_form and tag != "form"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data


def confirmed_url(page: bytes, address: str) -> str | None:
    """Where Google Drive's "cannot scan for viruses" page at ``address`` leads; None for any other page.

    The page is known by its form, whatever its host.
    """
    found = _Page(page.decode("utf-8", "replace"))
    target = urljoin(address, found.action)
    if not found.action or urlsplit(target).scheme not in ("http", "https"):
        return None
    parts = urlsplit(target)
    query = {**dict(parse_qsl(parts.query)), **found.inputs}
    return urlunsplit(parts._replace(query=urlencode(query)))


def page_problem(page: bytes) -> str:
    """The sentence about a page that came in place of a file."""
    title = " ".join(_Page(page.decode("utf-8", "replace")).title.split()) or "none"
    return (
        f"gave an HTML page instead of data (title: {title[:100]}): "
        "the link is dead, needs a login or its quota is used up"
    )


def wants_page(name: str) -> bool:
    """Whether the file ``name`` is itself a web page."""
    return name.lower().endswith((".html", ".htm"))


def is_page(content_type: str, head: bytes = b"") -> bool:
    """Whether an answer is a web page, by its Content-Type header or its first bytes."""
    kind = content_type.split(";")[0].strip().lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return kind in ("text/html", "application/xhtml+xml") or start.startswith((b"<!doctype html", b"<html"))


def format_problem(name: str, head: bytes) -> str | None:
    """What speaks against the first bytes (512 or more) of the file ``name``, by its suffix; None if nothing."""
    suffix = Path(name).suffix.lower()
    if suffix not in _MAGIC:
        return None
    offset, starts, kind = _MAGIC[suffix]
    if head[offset:].startswith(starts):
        return None
    return f"is no {kind} file, as the name {name} promises: it begins with {head[:8]!r}"
