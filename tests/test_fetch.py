"""Claims about downloads: the right file or a clear error, whatever the server, the disk or the process does."""

import copy
import errno
import gzip
import hashlib
import io
import json
import logging
import random
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from methods.data import transfer
from methods.data.catalog import file_record, load_catalog
from methods.data.fetch import decoded_sha256, fetch
from methods.data.lock import record_once, recorded
from methods.data.pages import confirmed_url, direct_url, format_problem, is_page, page_problem
from methods.data.transfer import Patience
from methods.errors import ReproError
from methods.files import sha256_bytes
from methods.progress import TransferProgress, readable_bytes, report_transfer
from tests.http_server import answer, chunked, drip, endless, in_turn, page, running, stall, whole

ROOT = Path(__file__).resolve().parents[1]
CATALOG = load_catalog()
CONTENT = b"PK\x03\x04" + random.Random(0).randbytes(200_000)
HALF = len(CONTENT) // 2
OTHER = b"PK\x03\x04" + random.Random(1).randbytes(200_000)
SHA256 = sha256_bytes(CONTENT)
MD5 = hashlib.md5(CONTENT).hexdigest()
# No rate or stall of a slow test machine ends a connection, and no back-off is felt.
PATIENT = Patience(stall_seconds=20, minimum_rate=0, attempts=3, backoff_seconds=0.01, longest_backoff=0.02)
QUOTA = "<html><head><title>Google Drive - Quota\n exceeded</title></head><body>Too many users</body></html>"
DRIVE_FORM = (
    '<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body><form action="/other">'
    '<input type="hidden" name="x" value="y"></form><form id="download-form" action="/confirmed?a=1" method="get">'
    '<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="1A-b_c&amp;d">'
    '<input type="hidden" name="confirm" value="t"></form></body></html>'
)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    """Where the file goes, in a folder of its own."""
    (tmp_path / "archives").mkdir()
    return tmp_path / "archives" / "pets.zip"


@pytest.fixture
def get(server, place):
    """A function that routes /0, /1, ... of the server and fetches from them in turn."""

    def run(*routes, patience=PATIENT, options=None, name="pets.zip", **record):
        server.routes |= {f"/{index}": route for index, route in enumerate(routes) if callable(route)}
        urls = [server.url(f"/{index}") if callable(route) else route for index, route in enumerate(routes)]
        record = {"name": name, "urls": urls, **(record or {"sha256": SHA256})}
        fetch("pets", record, place.with_name(name), patience=patience, **(options or {}))

    return run


def paths(server):
    return [request.path for request in server.asked]


def files_beside(place):
    return sorted(path.name for path in place.parent.iterdir())


def came_right(place, content=CONTENT):
    """The right file and nothing beside it."""
    return place.read_bytes() == content and files_beside(place) == [place.name]


def refusal_of(call, *arguments, **options):
    with pytest.raises(ReproError) as refusal:
        call(*arguments, **options)
    return str(refusal.value)


def unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/none"


def break_off(get, place, route=None, **record):
    """Leave the first half of the file as a part, as a process does that meets a dead connection."""
    message = refusal_of(
        get, in_turn(route or whole(CONTENT, stop=HALF), answer(503)), patience=replace(PATIENT, attempts=2), **record
    )
    assert "are kept: the same command goes on from there." in message
    assert files_beside(place) == [".pets.zip.part", ".pets.zip.part.json"]
    assert (place.parent / ".pets.zip.part").read_bytes() == CONTENT[:HALF]


# Which source


@pytest.mark.parametrize(
    "bad",
    [
        whole(OTHER),
        answer(404, b"gone"),
        answer(403),
        answer(410),
        answer(204),
        answer(500),
        answer(200, b""),
        answer(200, CONTENT[:50]),
        whole(CONTENT, ranges=False, etag=None, stop=50),
        answer(429, Retry_After=3600),
        page(QUOTA),
        chunked(OTHER),
        unreachable(),
        "nonsense://host/file",
    ],
    ids=lambda bad: "no_server" if isinstance(bad, str) and bad.startswith("http") else None,
)
def test_a_bad_source_is_followed_by_its_mirror(get, server, place, bad):
    get(bad, whole(CONTENT))
    assert came_right(place)
    assert paths(server)[-1] == "/1"


def test_a_good_first_source_is_the_only_one_asked(get, server, place):
    get(whole(CONTENT), whole(OTHER))
    assert came_right(place)
    assert paths(server) == ["/0"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_missing_file_is_not_asked_for_twice(get, server, status):
    get(answer(status), whole(CONTENT))
    assert paths(server) == ["/0", "/1"]


def test_without_a_good_source_all_are_listed_with_ways_to_go_on(get, server, place):
    nobody = unreachable()
    message = refusal_of(get, whole(OTHER), answer(404), answer(500), nobody)
    first, *sources, _, hint, by_hand, folder = message.splitlines()
    assert first == "No source of pets gave pets.zip as the catalog expects it:"
    assert [line.strip().partition(": ")[0] for line in sources] == [server.url(f"/{i}") for i in range(3)] + [nobody]
    assert f"has sha256 {sha256_bytes(OTHER)[:12]}, the catalog expects {SHA256[:12]}" in sources[0]
    assert "answered 404 Not Found" in sources[1]
    assert "answered 500 Internal Server Error, 3 times" in sources[2]
    assert "cannot be reached (Connection refused)" in sources[3]
    assert hint.strip() == "datasets: {unavailable: [pets]}"
    assert "get pets.zip by hand and put it into a folder" in by_hand
    assert folder.strip() == "data: {sources: [...]}"
    assert files_beside(place) == []


def test_a_failed_fetch_keeps_the_file_that_was_there(get, place):
    place.write_bytes(b"verified under an older catalog")
    assert "has sha256" in refusal_of(get, whole(OTHER))
    assert came_right(place, b"verified under an older catalog")


def test_a_file_that_is_there_and_right_is_not_fetched(get, server, place):
    place.write_bytes(CONTENT)
    (place.parent / ".pets.zip.part.json").write_text(json.dumps({"expected": {"sha256": SHA256}}))
    get(answer(404), options={"offline": True})
    assert came_right(place)
    assert server.asked == []


def test_a_file_that_is_there_and_wrong_is_replaced(get, place):
    place.write_bytes(OTHER)
    get(whole(CONTENT))
    assert came_right(place)


# Trying again


@pytest.mark.parametrize(
    ("route", "requests"),
    [
        (in_turn(answer(503), answer(503), whole(CONTENT)), 3),
        (in_turn(answer(429), whole(CONTENT)), 2),
        (in_turn(answer(429, Retry_After=formatdate(0, usegmt=True)), whole(CONTENT)), 2),
        (in_turn(answer(503, Retry_After="soon"), whole(CONTENT)), 2),
        (in_turn(chunked(CONTENT, ended=False), chunked(CONTENT)), 2),
        (in_turn(whole(CONTENT, ranges=False, stop=HALF), whole(CONTENT, ranges=False)), 2),
        (in_turn(whole(CONTENT, etag=None, stop=HALF), whole(CONTENT, etag=None)), 2),
    ],
    ids=["503", "429", "429 with a date", "503 with nonsense", "chunks", "no ranges", "no validator"],
)
def test_a_passing_fault_is_outlived(get, server, place, route, requests):
    get(route)
    assert came_right(place)
    assert paths(server) == ["/0"] * requests


def test_a_server_that_asks_to_wait_is_given_the_time(get, place):
    start = time.monotonic()
    get(in_turn(answer(429, Retry_After=1), whole(CONTENT)))
    assert time.monotonic() - start >= 1
    assert came_right(place)


def test_pauses_double_up_to_a_limit():
    patience = Patience()
    assert [patience.pause(idle) for idle in (0, 1, 2, 3, 9)] == [1, 1, 2, 4, 60]


def test_a_stalled_connection_is_left_and_the_download_goes_on(get, server, place):
    get(in_turn(stall(CONTENT, HALF), whole(CONTENT)), patience=replace(PATIENT, stall_seconds=0.4, attempts=20))
    assert came_right(place)
    assert server.asked[1].range == f"bytes={HALF}-"


def test_a_source_that_only_stalls_is_named_as_such(get, place):
    message = refusal_of(get, stall(CONTENT, 0), patience=replace(PATIENT, stall_seconds=0.2, attempts=2))
    assert "sent nothing for 0.2 s, 2 times" in message
    assert files_beside(place) == []


def test_a_slow_drip_is_left_for_another_connection(get, server, place):
    impatient = replace(PATIENT, minimum_rate=10_000, slow_seconds=0.3, attempts=20)
    get(in_turn(drip(CONTENT, 10, 0.01), whole(CONTENT)), patience=impatient)
    assert came_right(place)
    assert server.asked[1].range is not None


def test_a_source_that_only_drips_ends_although_each_connection_brings_bytes(get, server):
    impatient = replace(PATIENT, minimum_rate=10_000, slow_seconds=0.2, attempts=2)
    message = refusal_of(get, drip(CONTENT, 10, 0.01), patience=impatient)
    assert "sent only" in message
    assert ", 2 times" in message
    assert [request.range is None for request in server.asked] == [True, False]


def test_connections_that_bring_new_bytes_are_not_counted_as_failures(get, server, place):
    get(whole(CONTENT, stop=len(CONTENT) // 10), patience=replace(PATIENT, attempts=2))
    assert came_right(place)
    assert len(server.asked) > 10


def test_a_source_without_end_is_left(get, server, place, monkeypatch):
    monkeypatch.setattr(transfer, "_MOST_CONNECTIONS", 5)
    assert ", 5 times" in refusal_of(get, whole(CONTENT, stop=100))
    assert len(server.asked) == 5
    assert (place.parent / ".pets.zip.part").read_bytes() == CONTENT[:500]


# Lengths


@pytest.mark.parametrize("off", [-1000, 1000], ids=["too short", "too long"])
def test_a_wrong_announced_length_is_told_where_the_size_is_known(get, place, off):
    route = answer(200, CONTENT, Content_Length=len(CONTENT) + off)
    message = refusal_of(get, route, sha256=SHA256, size=len(CONTENT))
    assert f"has {len(CONTENT) + off} bytes, the catalog expects {len(CONTENT)}" in message
    assert files_beside(place) == []


def test_a_length_announced_too_short_gives_no_file(get, place):
    message = refusal_of(get, answer(200, CONTENT, Content_Length=len(CONTENT) - 1000))
    assert f"has sha256 {sha256_bytes(CONTENT[:-1000])[:12]}" in message
    assert files_beside(place) == []


def test_a_length_announced_too_long_is_outweighed_by_the_right_hash(get, place):
    get(answer(200, CONTENT, Content_Length=len(CONTENT) + 1000))
    assert came_right(place)


@pytest.mark.parametrize("route", [chunked(CONTENT + OTHER), endless], ids=["chunks", "endless"])
def test_a_body_that_exceeds_the_known_size_is_cut_short(get, place, route):
    message = refusal_of(get, route, sha256=SHA256, size=len(CONTENT))
    assert f"sends more than the {len(CONTENT)} bytes expected" in message
    assert files_beside(place) == []


def test_a_body_without_a_length_is_measured_by_the_known_size(get, server, place):
    cut = answer(200, CONTENT[:HALF], Content_Length=None, ETag='"1"')
    get(in_turn(cut, whole(CONTENT)), sha256=SHA256, size=len(CONTENT))
    assert came_right(place)
    assert server.sent == len(CONTENT)


def test_a_file_that_is_given_in_pieces_is_joined(get, server, place):
    piece = answer(206, CONTENT[:HALF], Content_Range=f"bytes 0-{HALF - 1}/{len(CONTENT)}", ETag='"1"')
    get(in_turn(piece, whole(CONTENT)), hash="unknown")
    assert came_right(place)
    assert server.sent == len(CONTENT)


def test_a_packed_transfer_is_not_unpacked(get, server, place):
    packed = gzip.compress(b"a file")
    get(whole(packed, Content_Encoding="gzip"), name="pets.tar.gz", sha256=sha256_bytes(packed))
    assert place.with_name("pets.tar.gz").read_bytes() == packed
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


# Going on where it stopped


def test_a_cut_download_goes_on_where_it_stopped(get, server, place):
    get(in_turn(whole(CONTENT, stop=HALF), whole(CONTENT)))
    assert came_right(place)
    assert [request.range for request in server.asked] == [None, f"bytes={HALF}-"]
    assert server.asked[1].headers["If-Range"] == '"1"'
    assert server.sent == len(CONTENT)


def test_a_second_call_goes_on_where_the_first_stopped(get, server, place):
    break_off(get, place)
    before = len(server.asked)
    get(whole(CONTENT))
    assert came_right(place)
    assert [request.range for request in server.asked[before:]] == [f"bytes={HALF}-"]
    assert server.sent == len(CONTENT)


def test_a_mirror_goes_on_where_the_first_source_stopped(get, server, place):
    get(in_turn(whole(CONTENT, stop=HALF), answer(404)), whole(CONTENT, etag='"of the mirror"'))
    assert came_right(place)
    assert server.asked[-1].range == f"bytes={HALF}-"
    assert "If-Range" not in server.asked[-1].headers
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize("record", [{"hash": "unknown"}, {"sha256_prefix": SHA256[:8]}])
def test_bytes_of_two_sources_are_not_joined_without_a_full_hash(get, server, place, record):
    get(in_turn(whole(CONTENT, stop=HALF), answer(404)), whole(CONTENT), **record)
    assert came_right(place)
    assert server.asked[-1].range is None


def test_without_hash_and_validator_a_download_begins_anew(get, server, place):
    get(in_turn(whole(CONTENT, etag=None, stop=HALF), whole(CONTENT, etag=None)), hash="unknown")
    assert came_right(place)
    assert [request.range for request in server.asked] == [None, None]


def test_a_date_serves_where_the_etag_is_weak(get, server, place):
    stamp = formatdate(0, usegmt=True)
    routes = [whole(CONTENT, etag=None, stop=stop, ETag='W/"1"', Last_Modified=stamp) for stop in (HALF, None)]
    get(in_turn(*routes), hash="unknown")
    assert place.read_bytes() == CONTENT
    assert server.asked[1].headers["If-Range"] == stamp


def test_a_part_of_an_older_version_is_replaced(get, server, place):
    break_off(get, place, route=whole(CONTENT, etag='"old"', stop=HALF), md5=hashlib.md5(OTHER).hexdigest())
    get(whole(OTHER, etag='"new"'), md5=hashlib.md5(OTHER).hexdigest())
    assert came_right(place, OTHER)
    assert server.asked[-1].headers["If-Range"] == '"old"'


def test_a_server_that_ignores_if_range_is_caught_by_its_etag(get, server, place):
    rest = {"Content_Range": f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}", "ETag": '"new"'}
    wrong_rest = answer(206, OTHER[HALF:], **rest)
    get(in_turn(whole(CONTENT, stop=HALF), wrong_rest, whole(OTHER, etag='"new"')), hash="unknown")
    assert came_right(place, OTHER)


def test_a_garbage_part_leads_to_one_more_download_from_the_same_source(get, server, place):
    break_off(get, place)
    (place.parent / ".pets.zip.part").write_bytes(b"?" * HALF)
    before = len(server.asked)
    get(whole(CONTENT), answer(404))
    assert came_right(place)
    assert [request.range for request in server.asked[before:]] == [f"bytes={HALF}-", None]
    assert paths(server)[before:] == ["/0", "/0"]


def test_a_source_that_is_wrong_joined_and_wrong_alone_is_left(get, server, place):
    break_off(get, place)
    before = len(server.asked)
    get(whole(OTHER), whole(CONTENT))
    assert came_right(place)
    assert paths(server)[before:] == ["/0", "/0", "/1"]


@pytest.mark.parametrize("record", [None, "", "[1, 2]", "{}", '{"expected": {"sha256": "0"}}'])
def test_a_part_without_a_fitting_record_is_not_trusted(get, server, place, record):
    (place.parent / ".pets.zip.part").write_bytes(OTHER[:HALF])
    if record is not None:
        (place.parent / ".pets.zip.part.json").write_text(record)
    get(whole(CONTENT))
    assert came_right(place)
    assert [request.range for request in server.asked] == [None]


@pytest.mark.parametrize("place_of_rest", ["bytes 5-9/100", "nonsense", None])
def test_a_range_that_was_not_asked_for_is_refused(get, server, place, place_of_rest):
    other_range = answer(206, CONTENT[HALF:], **({"Content_Range": place_of_rest} if place_of_rest else {}))
    get(in_turn(whole(CONTENT, stop=HALF), other_range, whole(CONTENT)))
    assert came_right(place)
    assert [request.range for request in server.asked] == [None, f"bytes={HALF}-", None]


@pytest.mark.parametrize("record", [{"sha256": SHA256}, {"hash": "unknown"}], ids=["hash", "no hash"])
def test_a_whole_part_is_recognised_by_the_answer_416(get, server, place, record):
    break_off(get, place, **record)
    (place.parent / ".pets.zip.part").write_bytes(CONTENT)
    before = server.sent
    get(whole(CONTENT), **record)
    assert came_right(place)
    assert server.sent == before


def test_an_answer_416_without_a_length_leaves_it_to_the_hash(get, server, place):
    break_off(get, place)
    (place.parent / ".pets.zip.part").write_bytes(CONTENT)
    get(in_turn(answer(416), answer(404)))
    assert came_right(place)


@pytest.mark.parametrize("headers", [{}, {"Content_Range": "bytes */50"}], ids=["no length", "shorter"])
@pytest.mark.parametrize("record", [{"sha256": SHA256}, {"hash": "unknown"}], ids=["hash", "no hash"])
def test_a_part_that_does_not_fit_the_answer_416_is_dropped(get, server, place, headers, record):
    break_off(get, place, **record)
    get(in_turn(answer(416, **headers), whole(CONTENT)), **record)
    assert came_right(place)
    assert server.asked[-1].range is None


def test_416_to_a_request_for_the_whole_file_is_a_failure(get, place):
    assert "has fewer bytes than came before" in refusal_of(get, answer(416))
    assert files_beside(place) == []


def test_a_whole_part_of_known_size_needs_no_server(get, server, place):
    record = {"sha256": SHA256, "size": len(CONTENT)}
    break_off(get, place, **record)
    (place.parent / ".pets.zip.part").write_bytes(CONTENT)
    before = len(server.asked)
    get(answer(404), **record)
    assert came_right(place)
    assert len(server.asked) == before


# Pages instead of data


def test_redirects_are_followed_with_the_range(get, server, place):
    server.routes["/there"] = in_turn(whole(CONTENT, stop=HALF), whole(CONTENT))
    get(answer(302, Location=server.url("/there")))
    assert came_right(place)
    assert paths(server) == ["/0", "/there", "/0", "/there"]
    assert server.asked[-1].range == f"bytes={HALF}-"


def test_endless_redirects_end(get):
    assert "cannot be asked: Exceeded 30 redirects" in refusal_of(get, answer(302, Location="/0"))


def test_a_redirect_to_a_page_is_a_dead_link(get, server, place):
    server.routes["/login"] = page("<html><title>Sign in</title></html>")
    message = refusal_of(get, answer(302, Location="/login"))
    assert (
        "gave an HTML page instead of data (title: Sign in): the link is dead, needs a login or its quota is used up"
    ) in message
    assert files_beside(place) == []


@pytest.mark.parametrize("record", [{"sha256": SHA256}, {"hash": "unknown"}], ids=["hash", "no hash"])
@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_quota_page_is_named_by_its_title(get, server, place, kind, record):
    message = refusal_of(get, page("\n" + QUOTA, kind), **record)
    assert "gave an HTML page instead of data (title: Google Drive - Quota exceeded)" in message
    assert files_beside(place) == []
    assert len(server.asked) == 1


def test_a_page_leaves_the_bytes_that_came_before(get, place):
    break_off(get, place)
    assert "(title: none)" in refusal_of(get, page("<p>Sorry"))
    assert (place.parent / ".pets.zip.part").read_bytes() == CONTENT[:HALF]


def test_a_file_that_is_a_page_may_be_one(get, place):
    get(page(QUOTA), name="list.html", sha256=sha256_bytes(QUOTA.encode()))
    get(page(QUOTA), name="other.html", hash="unknown")
    assert place.with_name("list.html").read_text() == place.with_name("other.html").read_text() == QUOTA


def test_the_confirmation_page_of_google_drive_is_followed(get, server, place):
    server.routes["/confirmed"] = in_turn(whole(CONTENT, stop=HALF), whole(CONTENT))
    get(page(DRIVE_FORM))
    assert came_right(place)
    assert paths(server) == ["/0", "/confirmed?a=1&id=1A-b_c%26d&confirm=t"] * 2
    assert server.asked[-1].range == f"bytes={HALF}-"


def test_a_confirmation_without_end_is_left(get, server):
    server.routes["/confirmed"] = page(DRIVE_FORM)
    assert "asked 3 times for a confirmation" in refusal_of(get, page(DRIVE_FORM))
    assert len(server.asked) == 3


def test_only_the_confirmation_form_is_followed_and_only_over_http():
    assert confirmed_url(QUOTA.encode(), "http://host/a") is None
    assert confirmed_url(DRIVE_FORM.replace("/confirmed", "file:///etc/").encode(), "http://host/a") is None
    assert confirmed_url(DRIVE_FORM.encode(), "http://host/a").startswith("http://host/confirmed?")


@pytest.mark.parametrize(
    "url",
    [
        "drive:1A-b_c",
        "https://drive.google.com/file/d/1A-b_c/view?usp=sharing",
        "https://drive.google.com/file/d/1A-b_c",
        "https://drive.google.com/uc?id=1A-b_c",
        "https://drive.google.com/uc?export=download&id=1A-b_c",
        "https://drive.google.com/open?id=1A-b_c",
        "https://drive.usercontent.google.com/download?id=1A-b_c",
    ],
)
def test_links_of_google_drive_become_downloads(url):
    direct = "https://drive.usercontent.google.com/download?id=1A-b_c&export=download&confirm=t"
    assert direct_url(url) == direct
    assert direct_url(direct) == direct


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://www.dropbox.com/s/abc/a.zip", "https://www.dropbox.com/s/abc/a.zip?dl=1"),
        ("https://www.dropbox.com/s/abc/a.zip?dl=0", "https://www.dropbox.com/s/abc/a.zip?dl=1"),
        ("https://dropbox.com/scl/fi/a/b?rlkey=k&dl=0", "https://dropbox.com/scl/fi/a/b?rlkey=k&dl=1"),
        ("https://www.dropbox.com/scl/fi/a/b?rlkey=k&raw=1", "https://www.dropbox.com/scl/fi/a/b?rlkey=k&dl=1"),
        ("https://www.dropbox.com/s/abc/a.zip?dl=1", "https://www.dropbox.com/s/abc/a.zip?dl=1"),
        (
            "https://drive.google.com/file/d/1A/view?resourcekey=0-k",
            "https://drive.usercontent.google.com/download?id=1A&export=download&confirm=t&resourcekey=0-k",
        ),
        ("https://drive.google.com/drive/folders/1A", "https://drive.google.com/drive/folders/1A"),
        ("https://host.org/a%20b.zip?dl=0#x", "https://host.org/a%20b.zip?dl=0#x"),
    ],
)
def test_other_query_parts_and_other_hosts_are_kept(url, direct):
    assert direct_url(url) == direct


@pytest.mark.parametrize(
    ("kind", "head", "expected"),
    [
        ("text/html", b"", True),
        ("Text/HTML; charset=utf-8", b"", True),
        ("application/zip", b"PK", False),
        ("", b"\xef\xbb\xbf \n<!DOCTYPE html>", True),
        ("", b"<HTML lang='en'>", True),
        ("", b"<?xml version='1.0'?>", False),
    ],
)
def test_a_page_is_known_by_its_type_or_its_first_bytes(kind, head, expected):
    assert is_page(kind, head) is expected


def test_a_long_title_is_cut():
    assert len(page_problem(b"<title>" + b"x" * 5000)) < 300


# Hashes and formats


@pytest.mark.parametrize(
    "record",
    [
        {"md5": MD5},
        {"md5": MD5, "sha256": SHA256, "size": len(CONTENT)},
        {"sha256_prefix": SHA256[:8]},
        {"hash": "unknown"},
        {"hash": "unknown", "size": len(CONTENT)},
    ],
    ids=lambda record: "+".join(record),
)
def test_every_kind_of_hash_is_enough(get, place, record):
    get(whole(CONTENT), **record)
    assert came_right(place)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"md5": "0" * 32}, f"has md5 {MD5[:12]}, the catalog expects 000000000000"),
        ({"md5": "0" * 32, "sha256": SHA256}, f"has md5 {MD5[:12]}"),
        ({"md5": MD5, "sha256": "0" * 64}, f"has sha256 {SHA256[:12]}"),
        ({"sha256_prefix": "00000000"}, f"has sha256 {SHA256[:12]}, the catalog expects one that begins with 00000000"),
        ({"hash": "unknown", "size": 10}, f"has {len(CONTENT)} bytes, the catalog expects 10"),
    ],
    ids=["md5", "md5 beside sha256", "sha256 beside md5", "prefix", "size"],
)
def test_what_differs_from_the_catalog_is_said(get, place, record, reason):
    assert reason in refusal_of(get, whole(CONTENT), **record)
    assert files_beside(place) == []


def tar_bytes():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    return stream.getvalue()


def zip_bytes():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("empty", b"")
    return stream.getvalue()


HEADS = {
    "a.tar.gz": gzip.compress(b""),
    "a.TGZ": gzip.compress(b""),
    "a.zip": zip_bytes(),
    "a.tar": tar_bytes(),
    "a.mat": b"MATLAB 5.0 MAT-file",
    "a.tar.xz": b"\xfd7zXZ\x00",
    "a.bz2": b"BZh9",
    "a.rar": b"Rar!\x1a\x07\x00",
    "a.pth": b"\x80\x02",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_format_is_known_by_its_first_bytes(name):
    assert format_problem(name, HEADS[name]) is None
    assert f"as the name {name} promises: it begins with b'nonsense'" in format_problem(name, b"nonsense" * 64)


def test_names_without_a_known_format_pass():
    assert format_problem("labels.txt", b"anything") is None


@pytest.mark.parametrize("record", [{"hash": "unknown"}, {"sha256_prefix": sha256_bytes(b"not a zip")[:8]}])
def test_a_foreign_format_is_refused_where_no_full_hash_is_known(get, place, record):
    assert "is no zip file, as the name pets.zip promises" in refusal_of(get, whole(b"not a zip"), **record)
    assert files_beside(place) == []


def test_a_full_hash_speaks_before_the_format(get):
    assert f"has sha256 {sha256_bytes(b'not a zip')[:12]}" in refusal_of(get, whole(b"not a zip"))


# The lock file


@pytest.mark.parametrize(
    "record", [{"hash": "unknown"}, {"md5": MD5}, {"sha256_prefix": SHA256[:10]}], ids=["unknown", "md5", "prefix"]
)
def test_a_hash_that_the_catalog_lacks_is_recorded_once(get, server, place, tmp_path, record):
    lock = tmp_path / "datasets.lock.json"
    get(whole(CONTENT), options={"lock": lock}, **record)
    entry = {"sha256": SHA256, "size": len(CONTENT), "url": server.url("/0")}
    assert json.loads(lock.read_text()) == {"files": {"pets/pets.zip": entry}}
    place.unlink()
    get(answer(404), whole(CONTENT), options={"lock": lock}, **record)
    assert came_right(place)
    assert recorded(lock, "files", "pets/pets.zip") == entry
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["datasets.lock.json"]


def test_a_known_hash_is_not_recorded(get, tmp_path):
    get(whole(CONTENT), options={"lock": tmp_path / "datasets.lock.json"})
    assert [path.name for path in tmp_path.iterdir()] == ["archives"]


def test_bytes_unlike_those_of_the_first_download_are_refused(get, place, tmp_path):
    options = {"lock": tmp_path / "datasets.lock.json"}
    get(whole(CONTENT), options=options, hash="unknown")
    place.unlink()
    changed, kept = sha256_bytes(OTHER)[:12], SHA256[:12]
    message = refusal_of(get, whole(OTHER), options=options, hash="unknown")
    assert f"has sha256 {changed}, the lock file recorded {kept} at the first download" in message
    assert files_beside(place) == []
    get(whole(OTHER), whole(CONTENT), options=options, hash="unknown")
    assert came_right(place)


def test_a_file_of_unknown_origin_is_trusted_only_if_recorded(get, server, place, tmp_path):
    options = {"lock": tmp_path / "datasets.lock.json"}
    place.write_bytes(OTHER)
    get(whole(CONTENT), options=options, hash="unknown")
    get(answer(404), options=options, hash="unknown")
    assert came_right(place)
    assert len(server.asked) == 1


def test_a_file_that_is_there_and_right_is_fetched_where_its_hash_must_be_recorded(get, place, tmp_path):
    place.write_bytes(CONTENT)
    get(whole(CONTENT), options={"lock": tmp_path / "datasets.lock.json"}, md5=MD5)
    assert recorded(tmp_path / "datasets.lock.json", "files", "pets/pets.zip")["sha256"] == SHA256


def test_the_lock_file_keeps_the_first_value_and_names_both(tmp_path):
    lock = tmp_path / "datasets.lock.json"
    record_once(lock, "folders", "birds", {"digest": "aaa", "url": "http://one"})
    record_once(lock, "folders", "birds", {"digest": "aaa", "url": "http://two"})
    message = refusal_of(record_once, lock, "folders", "birds", {"digest": "bbb"})
    assert "has {'digest': 'aaa'} for birds" in message
    assert "now it is {'digest': 'bbb'}" in message
    assert "remove the entry 'birds'" in message
    assert recorded(lock, "folders", "birds") == {"digest": "aaa", "url": "http://one"}
    assert recorded(lock, "files", "birds") is None
    assert recorded(tmp_path / "none.json", "files", "birds") is None


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"files": 7}', '{"files": {"a": 7}}', "\xff"])
def test_a_damaged_lock_file_is_named(get, server, place, tmp_path, text):
    lock = tmp_path / "datasets.lock.json"
    lock.write_text(text, encoding="latin-1")
    for message in (
        refusal_of(recorded, lock, "files", "a"),
        refusal_of(record_once, lock, "files", "a", {}),
        refusal_of(get, whole(CONTENT), options={"lock": lock}, hash="unknown"),
    ):
        assert f"The lock file {lock} cannot be read" in message
    assert lock.read_text(encoding="latin-1") == text
    assert files_beside(place) == []
    assert server.asked == []


def test_many_writers_of_the_lock_file_lose_no_entry(tmp_path):
    lock = tmp_path / "datasets.lock.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: record_once(lock, "files", f"set/{i:02}", {"sha256": str(i)}), range(24)))
    assert list(json.loads(lock.read_text())["files"]) == [f"set/{i:02}" for i in range(24)]
    assert [path.name for path in tmp_path.iterdir()] == ["datasets.lock.json"]


# Processes and disks


def test_of_two_at_once_one_fetches_and_the_other_waits(get, server, place, caplog):
    caplog.set_level(logging.INFO, "ood_repro")
    gate = threading.Event()

    def slow(request):
        assert gate.wait(30)
        whole(CONTENT)(request)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(get, slow)
        wait_until(lambda: server.asked)
        second = pool.submit(get, slow)
        wait_until(lambda: "waiting for another process" in caplog.text)
        gate.set()
        assert (first.result(), second.result()) == (None, None)
    assert came_right(place)
    assert len(server.asked) == 1


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_a_killed_fetch_is_gone_on_with(get, server, place):
    server.routes["/0"] = stall(CONTENT, HALF)
    record = {"name": "pets.zip", "urls": [server.url("/0")], "sha256": SHA256}
    script = f"from methods.data.fetch import fetch; fetch('pets', {record!r}, {str(place)!r})"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    part = place.parent / ".pets.zip.part"
    try:
        wait_until(lambda: part.is_file() and part.stat().st_size == HALF)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert files_beside(place) == [".pets.zip.lock", ".pets.zip.part", ".pets.zip.part.json"]
    get(whole(CONTENT))
    assert came_right(place)
    assert server.asked[-1].range == f"bytes={HALF}-"
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize(
    ("route", "record", "needed"),
    [
        (whole(CONTENT), {"sha256": SHA256}, "200 kB"),
        (chunked(CONTENT), {"sha256": SHA256, "size": len(CONTENT)}, "200 kB"),
        (chunked(CONTENT), {"hash": "unknown", "about": 3_500_000_000}, "3.5 GB"),
    ],
    ids=["announced by the server", "by the catalog", "about"],
)
def test_a_download_that_the_disk_cannot_hold_is_not_begun(get, place, monkeypatch, route, record, needed):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("methods.data.part.shutil.disk_usage", lambda folder: usage(10**6, 10**6 - 1000, 1000))
    message = refusal_of(get, route, **record)
    assert f"pets.zip needs {needed} more, the disk of {place.parent} has 1 kB free" in message
    assert files_beside(place) == []


def test_only_the_bytes_that_are_missing_need_room(get, place, monkeypatch):
    break_off(get, place)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("methods.data.part.shutil.disk_usage", lambda folder: usage(10**6, 0, HALF + 10))
    get(whole(CONTENT))
    assert came_right(place)


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "is full: pets.zip has come to"), (errno.EIO, "pets.zip.part cannot be written (Input/output")],
)
def test_a_disk_that_fails_while_writing_is_named_and_the_part_stays(get, server, place, monkeypatch, code, message):
    write = transfer._write

    def failing(handle, piece):
        if handle.tell() >= HALF:
            raise OSError(code, "Input/output error")
        write(handle, piece)

    monkeypatch.setattr(transfer, "_write", failing)
    assert message in refusal_of(get, whole(CONTENT), whole(CONTENT))
    assert paths(server) == ["/0"]
    came = (place.parent / ".pets.zip.part").stat().st_size
    assert HALF <= came < len(CONTENT)
    monkeypatch.undo()
    get(whole(CONTENT))
    assert came_right(place)
    assert server.asked[-1].range == f"bytes={came}-"


def test_a_folder_that_is_missing_is_made(server, tmp_path):
    server.routes["/0"] = whole(CONTENT)
    record = {"name": "pets.zip", "urls": [server.url("/0")], "sha256": SHA256}
    fetch("pets", record, str(tmp_path / "a" / "b" / "pets.zip"))
    assert came_right(tmp_path / "a" / "b" / "pets.zip")


# Offline


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({"size": 169001437}, "(169 MB)"), ({"about": 5e9}, "(about 5 GB)"), ({}, "(size unknown)")],
)
def test_offline_says_what_is_missing_and_the_ways_out(get, server, place, sizes, said):
    message = refusal_of(get, whole(CONTENT), options={"offline": True}, hash="unknown", **sizes)
    assert f"pets.zip of pets {said} is not here" in message
    assert server.url("/0") in message
    assert "Unset `offline`, or put the file into a folder listed in `data: {sources: [...]}`." in message
    assert server.asked == []
    assert files_beside(place) == []


# Progress


def test_the_log_says_how_far_how_fast_and_how_long(get, server, place, caplog):
    caplog.set_level(logging.INFO, "ood_repro")
    break_off(get, place)
    get(whole(CONTENT))
    assert f"pets.zip resumed at byte {HALF} of {len(CONTENT)}" in caplog.text
    assert f" from {server.url('/0')}, verified by sha256" in caplog.text


def test_lines_of_a_transfer_read_well(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "ood_repro")
    clock = iter([0.0, 1.0, 10.0, 15.0, 20.0])
    monkeypatch.setattr("methods.progress.time.monotonic", lambda: next(clock))
    progress = TransferProgress("a.tar.gz", 169_000_000)
    for size in (1_000_000, 44_000_000, 1, 123_999_999):
        progress.update(size)
    progress.close()
    monkeypatch.undo()
    report_transfer("a.tar.gz", 169_000_000, 12.34, "http://host/a", "md5")
    assert caplog.messages == [
        "a.tar.gz 45 of 169 MB, 4.5 MB/s, 28 s left",
        "a.tar.gz 169 of 169 MB, 8.45 MB/s, 0 s left",
        "a.tar.gz: 169 MB in 12.3 s from http://host/a, verified by md5",
    ]


def test_a_transfer_without_a_known_length_has_no_remaining_time(caplog):
    caplog.set_level(logging.INFO, "ood_repro")
    progress = TransferProgress("a.tar.gz", None, 500, seconds_between_lines=0)
    progress.update(1500)
    assert caplog.messages[0] == "a.tar.gz resumed at byte 500"
    assert caplog.messages[1].startswith("a.tar.gz 2 kB, ")
    assert "left" not in caplog.messages[1]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (1.45e12, "1.45 TB")],
)
def test_sizes_are_readable(size, text):
    assert readable_bytes(size) == text


# Files that come with a Python package


def package_file(**changes):
    file = copy.deepcopy(file_record(CATALOG, "digits", "digits.csv.gz"))
    file["package"] |= changes
    return file


def test_a_package_file_comes_without_a_network(tmp_path):
    fetch("digits", package_file(), tmp_path / "digits.csv.gz", offline=True, lock=tmp_path / "datasets.lock.json")
    assert gzip.decompress((tmp_path / "digits.csv.gz").read_bytes()).count(b"\n") == 1797
    assert [path.name for path in tmp_path.iterdir()] == ["digits.csv.gz"]


def test_a_package_file_with_other_content_is_refused(tmp_path):
    with pytest.raises(
        ReproError, match=r"digits\.csv\.gz of the Python package sklearn decodes to 6ebb3d2fee24, digits"
    ):
        fetch("digits", package_file(decoded_sha256="0" * 64), tmp_path / "digits.csv.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"name": "no_such_package"}, {"path": "datasets/data/none.csv.gz"}])
def test_a_package_or_file_that_is_not_installed_is_named(tmp_path, change):
    file = package_file(**change)
    expected = rf"digits needs {file['package']['path']} of the Python package {file['package']['name']}"
    with pytest.raises(ReproError, match=expected):
        fetch("digits", file, tmp_path / "digits.csv.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"no gzip at all", gzip.compress(b"0,1,2\n" * 50)[:-12], b""], ids=["other", "truncated", "empty"]
)
def test_a_damaged_package_file_is_refused(tmp_path, monkeypatch, content):
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "a.gz").write_bytes(content)
    monkeypatch.setattr("methods.data.fetch.importlib.resources.files", lambda name: tmp_path / "installed")
    with pytest.raises(ReproError, match=r"a\.gz of the Python package sklearn decodes to (nothing|e3b0c44298fc)"):
        fetch("digits", package_file(path="a.gz"), tmp_path / "out" / "digits.csv.gz")
    assert list((tmp_path / "out").iterdir()) == []


def test_packing_does_not_count_for_the_hash_of_a_package_file(tmp_path):
    for level in (1, 9):
        (tmp_path / f"{level}.gz").write_bytes(gzip.compress(b"the archive" * 100, level))
    assert (tmp_path / "1.gz").read_bytes() != (tmp_path / "9.gz").read_bytes()
    expected = {sha256_bytes(b"the archive" * 100)}
    assert {decoded_sha256(tmp_path / f"{level}.gz", "gzip") for level in (1, 9)} == expected


def test_a_right_file_in_a_folder_is_copied_instead_of_fetched(get, place, tmp_path, server):
    for name, content in {"first": CONTENT[::-1], "second": CONTENT}.items():
        (tmp_path / name / "pets").mkdir(parents=True)
        (tmp_path / name / "pets" / "pets.zip").write_bytes(content)
    folders = [tmp_path / "nowhere", tmp_path / "first", tmp_path / "second"]
    get(whole(CONTENT[::-1]), options={"folders": folders, "offline": True})
    assert came_right(place)
    assert server.asked == []


def test_a_wrong_file_in_a_folder_is_passed_over(get, place, tmp_path, server):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pets.zip").write_bytes(CONTENT[::-1])
    get(whole(CONTENT), options={"folders": [tmp_path / "mine"]})
    assert came_right(place)
    assert len(server.asked) == 1
