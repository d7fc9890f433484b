"""Claims about trees of files read in place and about pickles: what comes back, and which attacks are refused."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import pickle
import random
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from methods.data.pickles import restricted_loads
from methods.data.tars import TarTree
from methods.data.trees import (
    Limits,
    checked,
    narrow,
    open_archive,
    open_file,
    open_folder,
    read_one,
    union,
)
from methods.errors import ReproError

FILES = {"a.txt": b"first", "b/c.jpg": bytes(range(256)) * 9, "b/d/e.png": b"", "ü/日本 ö.txt": b"last"}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
KINDS = (*TARS, "zip", "folder")
ARCHIVES = KINDS[:-1]
DATA = os.environ.get("OOD_REPRO_TEST_DATA")


def entry(name, content=b"content", **fields):
    """A tar member: header and content."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, b"", type=kind, linkname=target)


def tar(path, members, mode="w", layout=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=layout, encoding="utf-8", errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_entry(name, content=b"content", mode=stat.S_IFREG | 0o644, method=zipfile.ZIP_DEFLATED):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, method
    return info, content


def zip_file(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


def patch_central(path, offset, layout, value):
    """Overwrite a field of the first entry in a zip's list of files."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, content.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(content)
    return path


def built(kind, folder, files=FILES):
    """The tree of ``files`` in one of the KINDS."""
    path = Path(folder) / f"set.{kind}"
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return open_folder(path)
    if kind == "zip":
        return open_archive(zip_file(path, [zip_entry(name, content) for name, content in files.items()]))
    return open_archive(tar(path, [entry(name, content) for name, content in files.items()], TARS[kind]))


def listing(folder):
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in Path(folder).rglob("*"))


@contextmanager
def refused(folder, message):
    """The block raises a ReproError of one sentence or more, and leaves the folder as it is."""
    before = listing(folder)
    with pytest.raises(ReproError, match=message) as caught:
        yield
    assert listing(folder) == before
    assert str(caught.value).endswith(".")
    assert "\0" not in str(caught.value)


def all_of(tree):
    return dict(tree.read(tree.names()))


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_back_from_every_kind_of_tree(tmp_path, kind):
    tree = built(kind, tmp_path)
    before = listing(tmp_path)
    assert tree.names() == tuple(sorted(FILES))
    assert all_of(tree) == FILES
    assert read_one(tree, "b/c.jpg") == FILES["b/c.jpg"]
    assert listing(tmp_path) == before
    assert str(tmp_path) in str(tree)


PART = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=20)
NAME = st.lists(PART, min_size=1, max_size=4).map("/".join)


def is_safe(name):
    parts = name.split("/")
    plain = not any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db") for part in parts)
    return plain and name[1:2] != ":" and all(len(part.encode()) < 250 for part in parts)


@settings(max_examples=30, deadline=None)
@given(files=st.dictionaries(NAME.filter(is_safe), st.binary(max_size=2000), min_size=1, max_size=8))
def test_any_safe_names_and_contents_come_back_the_same(files):
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    assume(folders.isdisjoint(files))
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            tree = built(kind, folder, files)
            assert tree.names() == tuple(sorted(files))
            assert all_of(tree) == files


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_sizes_in_every_layout_of_tar(tmp_path, layout):
    name = "/".join(["folder" * 8] * 4) + "/picture.jpg"
    tree = open_archive(tar(tmp_path / "a.tar", [entry(name), entry("b", b"2")], layout=layout))
    assert all_of(tree) == {name: b"content", "b": b"2"}


def test_zip_with_64_bit_sizes_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    path = zip_file(tmp_path / "a.zip", [zip_entry("a", b"a" * 100), zip_entry("b", b"b" * 50, method=0)])
    assert b"PK\x06\x06" in path.read_bytes()
    assert all_of(open_archive(path)) == {"a": b"a" * 100, "b": b"b" * 50}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_the_kind_is_told_by_content_not_by_name(tmp_path, kind):
    built(kind, tmp_path)
    path = (tmp_path / f"set.{kind}").rename(tmp_path / "picture.jpg")
    assert all_of(open_archive(path)) == FILES


SINGLE = {
    "labels.csv": b"a,b\n",
    "empty": b"",
    "t10k-images-idx3-ubyte.gz": gzip.compress(struct.pack(">4i", 2051, 1, 28, 28) + bytes(784)),
    "tiny.gz": gzip.compress(b"x"),
    "list.txt.bz2": bz2.compress(b"words " * 300),
    "list.txt.xz": lzma.compress(b"words " * 300),
    "zeros.bin": bytes(4096),
}


@pytest.mark.parametrize("name", SINGLE)
def test_what_is_no_archive_is_one_file_as_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(SINGLE[name])
    assert all_of(open_archive(tmp_path / name)) == {name: SINGLE[name]}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_can_be_taken_as_one_file(tmp_path, kind):
    built(kind, tmp_path)
    path = tmp_path / f"set.{kind}"
    assert all_of(open_archive(path, unpack=False)) == {path.name: path.read_bytes()}
    assert all_of(open_file(path, "weights.pth")) == {"weights.pth": path.read_bytes()}


LEFTOVERS = (".hidden", "a/.DS_Store", "__MACOSX/a/b.jpg", "a/._b.jpg", "a/Thumbs.db", ".git/config")


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_and_leftovers_are_left_out(tmp_path, kind):
    tree = built(kind, tmp_path, {**dict.fromkeys(LEFTOVERS, b"x"), **FILES})
    assert tree.names() == tuple(sorted(FILES))
    with refused(tmp_path, r"lacks 1 of the 1 files asked for, first \.hidden"):
        tree.read([".hidden"])


def test_names_are_tidied_and_may_differ_by_case_alone(tmp_path):
    members = [entry("./", type=tarfile.DIRTYPE, size=0), entry("./a//b/./c", b"1"), entry("A//B/c", b"2")]
    assert all_of(open_archive(tar(tmp_path / "a.tar", members))) == {"a/b/c": b"1", "A/B/c": b"2"}


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_names_are_refused_before_anything_is_read(tmp_path, kind):
    tree = built(kind, tmp_path)
    with refused(tmp_path, rf"set\.{kind} lacks 4 of the 5 files asked for, first p, q, r:"):
        tree.read(["p", "a.txt", "q", "r", "s"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_is_read_once_and_none_is_read_for_no_name(tmp_path, kind):
    tree = built(kind, tmp_path)
    assert [name for name, _ in tree.read(["a.txt", "b/c.jpg", "a.txt"])] == ["a.txt", "b/c.jpg"]
    assert list(tree.read([])) == []


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_is_read_in_the_order_in_which_it_is_stored(tmp_path, kind):
    tree = built(kind, tmp_path, {name: name.encode() for name in "zmbyac"})
    assert "".join(name for name, _ in tree.read("abcmyz")) == "zmbyac"


BAD_NAMES = {
    "/etc/passwd": "has an absolute name",
    "//server/x": "has an absolute name",
    "C:/x": "has an absolute name",
    "C:x": "has an absolute name",
    "../x": "leads out of its folder",
    "a/../../x": "leads out of its folder",
    "a/..": "leads out of its folder",
    "..\\x": "back-slash",
    "\\\\server\\x": "back-slash",
    "a\0b": "NUL character",
    ".": "has an empty name",
    "./.": "has an empty name",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("mode", TARS.values())
def test_unsafe_names_in_tar_are_refused(tmp_path, name, mode):
    path = tar(tmp_path / "a.tar", [entry("good"), entry("x", pax_headers={"path": name})], mode)
    with refused(tmp_path, rf"a\.tar holds .*, which .*{BAD_NAMES[name]}"):
        open_archive(path).read(["good"])


@pytest.mark.parametrize("name", BAD_NAMES)
def test_unsafe_names_in_zip_are_refused(tmp_path, name):
    stand_in = "#" * len(name)  # zipfile itself writes no such names
    path = zip_file(tmp_path / "a.zip", [zip_entry("good"), zip_entry(stand_in)])
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), name.encode()))
    with refused(tmp_path, rf"a\.zip holds .*, which .*{BAD_NAMES[name]}"):
        open_archive(path).names()


def test_unsafe_names_of_folders_are_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [entry("good"), entry("../x", b"", type=tarfile.DIRTYPE)])
    with refused(tmp_path, r"a\.tar holds '\.\./x', which has a name that leads out"):
        open_archive(path).names()


def test_a_name_that_is_no_unicode_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [entry("caf\udce9")], layout=tarfile.GNU_FORMAT)
    with refused(tmp_path, r"holds 'caf\\udce9', which has a name that is not UTF-8"):
        open_archive(path).names()


HARD, SYMBOLIC = tarfile.LNKTYPE, tarfile.SYMTYPE
BAD_MEMBERS = {
    "symbolic link to an absolute path": (link("b/l", "/etc/passwd"), "is a link out of the archive, to '/etc/passwd'"),
    "symbolic link upwards": (link("b/l", "../../x"), "is a link out of the archive"),
    "symbolic link to the top": (link("b/l", ".."), "is a link out of the archive"),
    "symbolic link with back-slashes": (link("b/l", "..\\..\\x"), "is a link out of the archive"),
    "symbolic link to a drive": (link("b/l", "C:/x"), "is a link out of the archive"),
    "empty symbolic link": (link("l", ""), "is a link out of the archive"),
    "hard link to an absolute path": (link("b/l", "/etc/passwd", HARD), "is a link out of the archive"),
    "hard link upwards": (link("b/l", "../x", HARD), "is a link out of the archive"),
    "link to nothing": (link("b/l", "none"), "is a link to 'b/none', and that is no file of the archive"),
    "hard link to nothing": (link("b/l", "none", HARD), "is a link to 'none', and that is no file"),
    "link to a folder": (link("l", "b"), "is a link to 'b', and that is no file"),
    "link to itself": (link("l", "l"), "is a link to 'l', and that is no file"),
    "hidden link out": (link(".l", "/etc/passwd"), "is a link out of the archive"),
    "character device": (entry("n", b"", type=tarfile.CHRTYPE), "is a device, a pipe"),
    "block device": (entry("n", b"", type=tarfile.BLKTYPE), "is a device, a pipe"),
    "pipe": (entry("n", b"", type=tarfile.FIFOTYPE), "is a device, a pipe"),
    "unknown kind": (entry("n", type=b"Z"), "is a device, a pipe or of an unknown kind"),
    "GNU sparse file": (entry("n", b"", type=tarfile.GNUTYPE_SPARSE), "is stored as a sparse file"),
    "pax sparse file": (
        entry("n", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}),
        "is stored as a sparse file",
    ),
    "duplicate": (entry("b/c"), "is there more than once"),
    "duplicate after tidying": (entry("./b//c"), "is there more than once"),
    "link in a file's place": (link("b/c", "d"), "is there more than once"),
    "size beyond any limit": (entry("n", pax_headers={"size": str(10**15)}), "has 10{15} bytes, where a file may"),
    "negative size": (entry("n", pax_headers={"size": "-1024"}), "has -1024 bytes"),
}


@pytest.mark.parametrize("attack", BAD_MEMBERS)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_unsafe_members_of_tar_are_refused(tmp_path, attack, mode):
    member, message = BAD_MEMBERS[attack]
    path = tar(tmp_path / "a.tar", [entry("b/c"), entry("b/d"), member], mode)
    with refused(tmp_path, rf"a\.tar holds .*, which {message}"):
        open_archive(path).read(["b/c"])


def test_chains_of_links_are_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [entry("c"), link("l1", "c"), link("l2", "l1")])
    with refused(tmp_path, "holds 'l2', which is a link to 'l1', and that is no file"):
        open_archive(path).names()


@pytest.mark.parametrize("mode", TARS.values())
def test_links_to_a_file_of_the_archive_give_its_content(tmp_path, mode):
    members = [link("z", "b/c"), entry("b/c"), link("b/s", "../b/./c"), link("b/h", "b/c", HARD), entry("d", b"4")]
    tree = open_archive(tar(tmp_path / "a.tar", members, mode))
    assert all_of(tree) == {**dict.fromkeys(("z", "b/c", "b/s", "b/h"), b"content"), "d": b"4"}


def test_links_in_zip_give_the_content_of_their_target(tmp_path):
    members = [zip_entry("b/l", b"../c", stat.S_IFLNK | 0o777), zip_entry("c")]
    assert all_of(open_archive(zip_file(tmp_path / "a.zip", members))) == {"b/l": b"content", "c": b"content"}


BAD_ZIP_MEMBERS = {
    "link out": (zip_entry("b/l", b"../../x", stat.S_IFLNK), "is a link out of the archive"),
    "absolute link": (zip_entry("b/l", b"/etc/passwd", stat.S_IFLNK), "is a link out of the archive"),
    "link to nothing": (zip_entry("l", b"none", stat.S_IFLNK), "is a link to 'none', and that is no file"),
    "link too long": (zip_entry("l", b"x" * 5000, stat.S_IFLNK), "is a link of 5000 bytes, where a path has"),
    "device": (zip_entry("n", b"", stat.S_IFCHR), "is a device, a pipe"),
    "pipe": (zip_entry("n", b"", stat.S_IFIFO), "is a device, a pipe"),
    "socket": (zip_entry("n", b"", stat.S_IFSOCK), "is a device, a pipe"),
    "unread method": (zip_entry("n", method=zipfile.ZIP_LZMA), "is packed by method 14"),
}


@pytest.mark.parametrize("attack", BAD_ZIP_MEMBERS)
def test_unsafe_members_of_zip_are_refused(tmp_path, attack):
    member, message = BAD_ZIP_MEMBERS[attack]
    path = zip_file(tmp_path / "a.zip", [zip_entry("c"), member])
    with refused(tmp_path, rf"a\.zip holds .*, which {message}"):
        open_archive(path).read(["c"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["c", "./c", "c/."])
def test_duplicates_in_zip_are_refused(tmp_path, again):
    path = zip_file(tmp_path / "a.zip", [zip_entry("c"), zip_entry(again)])
    with refused(tmp_path, r"a\.zip holds '.*', which is there more than once"):
        open_archive(path).names()


def test_an_encrypted_member_is_refused(tmp_path):
    path = patch_central(zip_file(tmp_path / "a.zip", [zip_entry("c")]), 8, "<H", 1)
    with refused(tmp_path, r"a\.zip holds 'c', which is encrypted"):
        open_archive(path).names()


CONTENT = b"0123456789" * 100
LIES = {
    "wrong checksum": (16, zlib.crc32(b"other"), 8, r"does not have the checksum \(CRC\)"),
    "unpacks to more": (24, 500, 8, "unpacks to more bytes, where the archive says 500"),
    "unpacks to less": (24, 5000, 8, "unpacks to 1000 bytes, where the archive says 5000"),
    "stored with another size": (24, 500, 0, "unpacks to more bytes, where the archive says 500"),
    "cut short": (20, 5, 8, r"cannot be unpacked \(it is truncated\)"),
    "packed size past the end": (20, 10**6, 8, "lies outside of the archive"),
    "place past the end": (42, 10**6, 8, "lies outside of the archive"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_zip_that_lies_about_a_member_is_refused(tmp_path, lie):
    offset, value, method, message = LIES[lie]
    path = zip_file(tmp_path / "a.zip", [zip_entry("c", CONTENT, method=method), zip_entry("d")])
    patch_central(path, offset, "<I", value)
    with refused(tmp_path, rf"a\.zip holds 'c', which {message}"):
        read_one(open_archive(path), "c")


def test_a_zip_whose_checksum_fits_its_lie_is_refused(tmp_path):
    path = zip_file(tmp_path / "a.zip", [zip_entry("c", CONTENT)])
    patch_central(patch_central(path, 24, "<I", 500), 16, "<I", zlib.crc32(CONTENT[:500]))
    with refused(tmp_path, "unpacks to more bytes, where the archive says 500"):
        read_one(open_archive(path), "c")


def test_damaged_content_of_zip_is_refused_by_the_members_name(tmp_path):
    path = zip_file(tmp_path / "a.zip", [zip_entry("c", random.Random(0).randbytes(1000))])
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)
    with refused(tmp_path, r"a\.zip holds 'c', which"):
        read_one(open_archive(path), "c")


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(files=3), "holds more than 3 members"),
        (Limits(file_bytes=2000), "holds 'b/c.jpg', which has 2304 bytes, where a file may have 2000"),
        (Limits(unpacked_bytes=2307), "which brings the sum of sizes over the limit of 2307 bytes"),
    ],
)
def test_an_archive_over_a_limit_is_refused(tmp_path, kind, limits, message):
    built(kind, tmp_path)
    with refused(tmp_path, rf"set\.{kind} {message}|set\.{kind} holds .* {message}"):
        open_archive(tmp_path / f"set.{kind}", limits).names()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_at_its_limits_is_read(tmp_path, kind):
    built(kind, tmp_path)
    limits = Limits(files=4, file_bytes=2304, unpacked_bytes=5 + 2304 + 4)
    assert all_of(open_archive(tmp_path / f"set.{kind}", limits)) == FILES


def test_links_count_for_the_sum_of_sizes(tmp_path):
    members = [entry("c", bytes(1000)), *(link(f"l{number}", "c", HARD) for number in range(10))]
    path = tar(tmp_path / "a.tar", members)
    with refused(tmp_path, "over the limit of 5000 bytes"):
        open_archive(path, Limits(unpacked_bytes=5000)).names()


def test_one_file_over_the_limit_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(100))
    with refused(tmp_path, r"a\.bin has 100 bytes, where a file may have 99"):
        open_archive(tmp_path / "a.bin", Limits(file_bytes=99)).names()


def test_the_usual_limit_is_60_times_the_archive_or_4_gib():
    assert Limits().unpacked(10) == 4 << 30
    assert Limits().unpacked(1 << 30) == 60 << 30


PACKERS = {"gz": gzip.compress, "bz2": lambda content: bz2.compress(content, 1), "xz": lzma.compress}


@pytest.mark.parametrize("packer", PACKERS)
def test_a_compressed_bomb_is_refused_before_it_is_unpacked(tmp_path, packer):
    path = tar(tmp_path / "a.tar", [entry("bomb", bytes(20 << 20)), entry("c")])
    packed = PACKERS[packer](path.read_bytes())
    path.write_bytes(packed[: len(packed) // 2])  # who unpacks it meets the end
    with refused(tmp_path, "holds 'bomb', which brings the sum of sizes over the limit"):
        open_archive(path, Limits(unpacked_bytes=1 << 20)).names()


def test_a_header_that_is_a_bomb_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [entry("c", pax_headers={"comment": "x" * (1 << 20)})], "w:gz")
    with refused(tmp_path, r"a\.tar cannot be read \(a header is longer than 32768 bytes\)"):
        open_archive(path).names()


def test_many_large_headers_are_refused(tmp_path):
    members = [entry(f"{number}", pax_headers={"comment": "x" * 30000}) for number in range(100)]
    path = tar(tmp_path / "a.tar", members, "w:gz")
    with refused(tmp_path, "which comes after too many bytes that are no content"):
        open_archive(path, Limits(unpacked_bytes=1 << 20)).names()


def test_an_endless_chain_of_headers_is_refused(tmp_path):
    block = tarfile.TarInfo("././@LongLink")
    block.type, block.size = tarfile.GNUTYPE_LONGNAME, 0
    path = tmp_path / "a.tar"
    path.write_bytes(block.tobuf(tarfile.GNU_FORMAT) * 5000)
    with refused(tmp_path, r"a\.tar cannot be read"):
        open_archive(path).names()


def test_endless_padding_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [entry("c")])
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(20 << 20)))
    with refused(tmp_path, r"a\.tar goes on after its end mark"):
        open_archive(path).names()


@pytest.mark.parametrize("kind", TARS)
def test_a_second_archive_behind_the_first_is_refused(tmp_path, kind):
    built(kind, tmp_path)
    path = tmp_path / f"set.{kind}"
    path.write_bytes(path.read_bytes() * 2)
    with refused(tmp_path, "goes on after its end mark, so files would be overlooked"):
        open_archive(path).names()


def cuts(path, first, last, count=25):
    return sorted({first, last, *random.Random(0).sample(range(first, last), min(count, last - first))})


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path, kind):
    noise = {name: random.Random(name).randbytes(700) for name in ("a", "b", "c/d")}
    built(kind, tmp_path, noise)
    path = tmp_path / f"set.{kind}"
    whole = path.read_bytes()
    end = 3 * (512 + 1024) if kind == "tar" else len(whole) - 1  # after its last file a tar has only zeros
    boundaries = {512, 1536, 3072} if kind == "tar" else set()
    for kept in {*cuts(path, 300, end), *boundaries}:
        path.write_bytes(whole[:kept])
        with refused(tmp_path, rf"set\.{kind} "):
            all_of(open_archive(path))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("garbage", [b"garbage" * 74, b"\xff" * 512])
def test_garbage_between_members_is_refused(tmp_path, mode, garbage):
    plain = tar(tmp_path / "a.tar", [entry("a"), entry("b")]).read_bytes()
    content = plain[:1024] + garbage[:512] + plain[1024:]
    (tmp_path / "a.tar").write_bytes(gzip.compress(content) if mode == "w:gz" else content)
    with refused(tmp_path, r"a\.tar cannot be read \(.* at byte 1024\): it is truncated, damaged"):
        open_archive(tmp_path / "a.tar").names()


def test_zeros_between_members_hide_nothing(tmp_path):
    plain = tar(tmp_path / "a.tar", [entry("a"), entry("b")]).read_bytes()
    (tmp_path / "a.tar").write_bytes(plain[:1024] + bytes(512) + plain[1024:])
    with refused(tmp_path, "goes on after its end mark"):
        open_archive(tmp_path / "a.tar").names()


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_compressed_archive_with_a_wrong_checksum_is_refused(tmp_path, kind):
    built(kind, tmp_path)
    path = tmp_path / f"set.{kind}"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with refused(tmp_path, rf"set\.{kind} cannot be read"):
        open_archive(path).names()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_without_a_file_is_refused(tmp_path, kind):
    if kind == "zip":
        path = zip_file(tmp_path / "a", [zip_entry("folder/", b"")])
    else:
        path = tar(tmp_path / "a", [entry("folder", b"", type=tarfile.DIRTYPE)], TARS[kind])
    with refused(tmp_path, "holds no file: check that it is the expected archive"):
        open_archive(path).names()


def test_a_missing_archive_and_a_folder_in_its_place_are_refused(tmp_path):
    with refused(tmp_path, r"none\.tar does not exist, expected is an archive"):
        open_archive(tmp_path / "none.tar")
    with refused(tmp_path, "is no regular file, expected is an archive"):
        open_archive(tmp_path)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_changed_while_in_use_is_refused(tmp_path, kind):
    tree = built(kind, tmp_path)
    tree.names()
    built(kind, tmp_path, {**FILES, "more": bytes(20000)})
    with refused(tmp_path, rf"set\.{kind} was changed while it was in use"):
        all_of(tree)


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(ARCHIVES), changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
def test_damaged_bytes_end_in_files_or_in_a_sentence(kind, changes):
    with tempfile.TemporaryDirectory() as folder:
        built(kind, folder)
        path = Path(folder) / f"set.{kind}"
        content = bytearray(path.read_bytes())
        used = 6000 if kind == "tar" else len(content)
        for place, value in changes:
            content[int(place * (used - 1))] = value
        path.write_bytes(content)
        try:
            found = all_of(open_archive(path))
        except ReproError:
            return
        assert all(isinstance(content, bytes) for content in found.values())


class Counting(io.BufferedReader):
    """Counts the bytes that are asked for."""

    bytes = 0

    def read(self, size=-1):
        Counting.bytes += size
        return super().read(size)


def test_the_names_of_a_plain_tar_are_found_by_seeking(tmp_path):
    path = tmp_path / "a.tar"
    with open(path, "wb") as file:
        for name in "abc":
            info = tarfile.TarInfo(name)
            info.size = 1 << 30
            file.write(info.tobuf())
            file.seek(1 << 30, os.SEEK_CUR)  # a hole: nothing is written
        file.write(bytes(1024))
    tree = TarTree(path, Limits(), lambda handle: Counting(handle.raw))
    assert tree.names() == ("a", "b", "c")
    assert 0 < Counting.bytes < 1 << 18


@pytest.mark.parametrize("kind", KINDS)
def test_several_threads_may_read_one_tree(tmp_path, kind):
    tree = built(kind, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: all_of(tree), range(16)))
    assert found == [FILES] * 16


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open handles are counted in /proc, which is Linux's")
@pytest.mark.parametrize("kind", KINDS)
def test_handles_are_open_only_while_reading(tmp_path, kind):
    tree = built(kind, tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    reading = tree.read(tree.names())
    next(reading)
    reading.close()
    all_of(tree)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_is_named_with_its_prefix(tmp_path):
    built("folder", tmp_path)
    tree = open_folder(tmp_path / "set.folder", "images/")
    assert all_of(tree) == {f"images/{name}": content for name, content in FILES.items()}


def test_a_folder_may_itself_be_a_link(tmp_path):
    built("folder", tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "set.folder")
    (tmp_path / "set.folder" / "again").symlink_to("b/c.jpg")
    assert all_of(open_folder(tmp_path / "link")) == {**FILES, "again": FILES["b/c.jpg"]}


BAD_LINKS = {"/etc/passwd": "leads out", "../other": "leads out", "none": "to nothing", "l": "in a circle"}


@pytest.mark.parametrize("target", BAD_LINKS)
def test_links_out_of_a_folder_are_refused(tmp_path, target):
    built("folder", tmp_path)
    (tmp_path / "other").write_bytes(b"secret")
    (tmp_path / "set.folder" / "l").symlink_to(target)
    with refused(tmp_path, rf"set\.folder holds 'l', which is a link that .*{BAD_LINKS[target]}"):
        open_folder(tmp_path / "set.folder").names()


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("b"), os.mkfifo], ids=["link to a folder", "pipe"])
def test_what_is_no_plain_file_in_a_folder_is_refused(tmp_path, make):
    built("folder", tmp_path)
    make(tmp_path / "set.folder" / "b" / "x" if make is os.mkfifo else tmp_path / "set.folder" / "x")
    with refused(tmp_path, "x', which is no regular file and no real folder"):
        open_folder(tmp_path / "set.folder").names()


@pytest.mark.parametrize("name", ["a\\b", "C:x", os.fsdecode(b"caf\xe9")])
def test_unusable_names_in_a_folder_are_refused(tmp_path, name):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(b"")
    with refused(tmp_path, r"The folder .*set holds .*, which has .*: rename it"):
        open_folder(tmp_path / "set").names()


def test_missing_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden").touch()
    with refused(tmp_path, "The folder .*empty holds no file: put the data there"):
        open_folder(tmp_path / "empty").names()
    with refused(tmp_path, "none does not exist, expected is a folder"):
        open_folder(tmp_path / "none")
    with refused(tmp_path, "hidden is no folder"):
        open_folder(tmp_path / "empty" / ".hidden")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_files_and_folders_are_refused(tmp_path):
    tree = built("folder", tmp_path)
    tree.names()
    (tmp_path / "set.folder" / "a.txt").chmod(0)
    with refused(tmp_path, r"a\.txt cannot be read .* Check its permissions"):
        read_one(tree, "a.txt")
    (tmp_path / "set.folder" / "b").chmod(0)
    with refused(tmp_path, r"set\.folder/b cannot be read .* Check its permissions"):
        open_folder(tmp_path / "set.folder").names()
    (tmp_path / "set.folder" / "b").chmod(0o755)


def test_a_file_that_vanished_is_refused(tmp_path):
    tree = built("folder", tmp_path)
    tree.names()
    (tmp_path / "set.folder" / "a.txt").unlink()
    with refused(tmp_path, r"a\.txt cannot be read \(.*No such file"):
        read_one(tree, "a.txt")


def two_trees(tmp_path):
    (tmp_path / "other").mkdir()
    return built("tar", tmp_path), built("zip", tmp_path / "other", {"z": b"26", "b/y": b"25"})


def test_a_union_holds_the_files_of_its_trees(tmp_path):
    tree = union(two_trees(tmp_path))
    assert tree.names() == tuple(sorted((*FILES, "z", "b/y")))
    assert all_of(tree) == {**FILES, "z": b"26", "b/y": b"25"}
    assert dict(tree.read(["z", "a.txt"])) == {"z": b"26", "a.txt": b"first"}
    with refused(tmp_path, r"set\.tar with .*set\.zip lacks 1 of the 2 files asked for, first none"):
        tree.read(["z", "none"])


def test_a_name_in_two_trees_is_refused(tmp_path):
    first, _ = two_trees(tmp_path)
    second = built("zip", tmp_path / "other", {"a.txt": b"another"})
    with refused(tmp_path, r"a\.txt is in .*set\.tar and in .*other/set\.zip"):
        union([first, second])


def test_a_union_of_nothing_is_empty():
    assert union([]).names() == ()


WANTED = [
    ([], FILES),
    (["b"], ["b/c.jpg", "b/d/e.png"]),
    (["b/"], ["b/c.jpg", "b/d/e.png"]),
    (["b/d", "a.txt"], ["a.txt", "b/d/e.png"]),
    (["b/c"], []),
    (["b/c.jpg", "b"], ["b/c.jpg", "b/d/e.png"]),
    (["none"], []),
]


@pytest.mark.parametrize(("wanted", "kept"), WANTED)
def test_a_narrowed_tree_holds_what_is_wanted_and_nothing_else(tmp_path, wanted, kept):
    tree = narrow(built("tar.gz", tmp_path), wanted)
    assert tree.names() == tuple(sorted(kept))
    assert all_of(tree) == {name: FILES[name] for name in kept}
    if wanted:
        with refused(tmp_path, "lacks 1 of the 1 files asked for, first ü/日本"):
            tree.read(["ü/日本 ö.txt"])


def manifest(files):
    return {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_checked_files_come_back_if_unchanged(tmp_path, kind):
    part = {name: FILES[name] for name in ("a.txt", "b/d/e.png")}
    tree = checked(built(kind, tmp_path), manifest(part))
    assert tree.names() == ("a.txt", "b/d/e.png")
    assert all_of(tree) == part
    with refused(tmp_path, "lacks 1 of the 1 files asked for"):
        tree.read(["b/c.jpg"])


@pytest.mark.parametrize(
    ("verified", "found"),
    [
        ({"a.txt": b"longer than first"}, r"it has 5 bytes, expected 17"),
        ({"a.txt": b"First"}, r"it has sha256 a7937b64b8ca, expected "),
        ({"a.txt": b"first", "gone": b""}, r"1 files are gone"),
    ],
)
def test_files_changed_since_they_were_verified_are_refused(tmp_path, verified, found):
    tree = checked(built("folder", tmp_path), manifest(verified))
    with refused(tmp_path, rf"(a\.txt|gone) of .*set\.folder was changed since it was verified \({found}"):
        all_of(tree)


def python2_array(pixels, kind=b"u1", order=b"|", size=None):
    """What numpy under Python 2 wrote for an array in protocol 2."""
    content = pixels.tobytes()
    shape = b"".join(b"J" + struct.pack("<i", side) for side in size or pixels.shape)
    flags = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    dtype = b"cnumpy\ndtype\nU" + bytes([len(kind)]) + kind + b"K\x00K\x01\x87R(K\x03U\x01" + order + flags + b"tb"
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return head + b"(K\x01(" + shape + b"t" + dtype + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"


def python2_batch(array):
    """A batch as CIFAR's authors pickled theirs."""
    return b"\x80\x02}q\x01(U\x04dataq\x02" + array + b"U\x06labels](K\x03K\x07eU\x05titleU\x02\xe9xu."


PIXELS = np.arange(2 * 12, dtype=np.uint8).reshape(2, 12)


@pytest.mark.parametrize("numbers", [PIXELS, PIXELS.astype("<i8"), PIXELS.astype(">f4")], ids=str)
def test_a_batch_of_python_2_is_read(numbers):
    array = python2_array(numbers, numbers.dtype.str[1:].encode(), numbers.dtype.str[:1].encode())
    found = restricted_loads(python2_batch(array), "data_batch_1")
    assert type(found["data"]) is np.ndarray
    assert np.array_equal(found.pop("data"), numbers)
    assert found == {"labels": [3, 7], "title": "éx"}
    assert np.dtype(numbers.dtype.str[1:]).isnative


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("array", [PIXELS, np.asfortranarray(PIXELS), np.eye(3), np.empty((0, 5), dtype=bool)], ids=str)
def test_arrays_of_today_are_read(protocol, array):
    values = {"data": array, "labels": list(range(3000)), "more": [1.5, None, True, "é", b"x", (1,), -(10**20), {}]}
    found = restricted_loads(pickle.dumps(values, protocol), "batch")
    assert np.array_equal(found.pop("data"), values.pop("data"))
    assert found == values


@pytest.mark.skipif(not DATA, reason="OOD_REPRO_TEST_DATA names no folder with the official files")
@pytest.mark.parametrize("name", ["cifar-10-batches-py/test_batch", "cifar-100-python/test", "cifar-100-python/meta"])
def test_official_pickles_are_read_as_by_pickle_itself(name):
    path = Path(DATA) / name
    if not path.is_file():
        pytest.skip(f"OOD_REPRO_TEST_DATA holds no {name}")
    found, expected = restricted_loads(path.read_bytes(), name), pickle.loads(path.read_bytes(), encoding="latin1")
    assert list(found) == list(expected)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def global_call(module, name, argument):
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


DOTTED = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
HUGE = python2_array(PIXELS, size=(1 << 30, 1 << 30, 1 << 30))
HOSTILE = {
    "eval": (global_call("builtins", "eval", "open('CANARY', 'w')"), "builtins.eval"),
    "exec of python 2": (global_call("__builtin__", "execfile", "CANARY"), "__builtin__.execfile"),
    "os.system": (global_call("os", "system", "touch CANARY"), "os.system"),
    "subprocess": (global_call("subprocess", "Popen", "touch CANARY"), "subprocess.Popen"),
    "getattr": (b"cbuiltins\ngetattr\n(cos\n__dict__\nVsystem\ntR(Vtouch CANARY\ntR.", "builtins.getattr"),
    "dotted name": (DOTTED, "numpy.ndarray.tofile"),
    "numpy.load": (global_call("numpy", "load", "CANARY"), "numpy.load"),
    "functools.partial": (b"cfunctools\npartial\n(cos\nsystem\nVtouch CANARY\ntR)R.", "functools.partial"),
    "codecs": (global_call("_codecs", "encode", "x"), "_codecs.encode"),
    "old instance": (b"(Vtouch CANARY\nios\nsystem\n.", "instruction"),
    "object": (b"(cos\nsystem\nVtouch CANARY\no.", "os.system"),
    "new object": (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ft\x81.", "instruction"),
    "array class called": (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "TypeError"),
    "array of a class": (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(U\x01xK\x00U\x01btR.", "other than an array"),
    "extension": (b"\x80\x02\x82\x01.", "instruction"),
    "long extension": (b"\x80\x02\x84\x01\x00\x00\x00.", "instruction"),
    "persistent id": (b"Pcanary\n.", "instruction"),
    "binary persistent id": (b"\x80\x02K\x01Q.", "instruction"),
    "buffer outside": (b"\x80\x05\x97.", "instruction"),
    "huge memo index": (b"\x80\x02}r\xff\xff\xff\xff.", "numbers a value 4294967295"),
    "huge bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "instruction"),
    "huge text": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", "instruction"),
    "large bytes": (b"\x80\x03B\xff\xff\xff\xffx.", "EOFError"),
    "negative text": (b"\x80\x02T\xff\xff\xff\xffx.", "negative byte count"),
    "huge frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}.", "a frame of"),
    "long number": (b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"1.", "instruction"),
    "deep lists": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested deeper than 16"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 200_000 + b".", "nested deeper than 16"),
    "doubling lists": (b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (n, n, n) for n in range(200)) + b".", "deeper"),
    "deep tuple as key": (b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.", "keys that are not texts"),
    "numbers as keys": (b"\x80\x02}(K\x01K\x02u.", "keys that are not texts"),
    "items of a list": (b"\x80\x02](U\x01aK\x02u.", "keys that are not texts"),
    "state of a dictionary": (b"\x80\x02}}b.", "sets the state of a dict"),
    "object array": (python2_batch(python2_array(PIXELS, b"O8")), "array of type 'O8'"),
    "record array": (python2_batch(python2_array(PIXELS, b"V8")), "array of type 'V8'"),
    "huge element": (python2_batch(python2_array(PIXELS, b"S999999999")), "array of type 'S999999999'"),
    "shape beyond its data": (python2_batch(HUGE), "array of shape .* with 24 bytes"),
    "negative shape": (python2_batch(python2_array(PIXELS, size=(-2, -12))), "without plain shape"),
    "odd byte order": (python2_batch(python2_array(PIXELS, order=b"x")), "sets the state of a"),
    "truncated": (python2_batch(python2_array(PIXELS))[:-9], None),
    "empty": (b"", "EOFError"),
    "text": (b"<!DOCTYPE html>", None),
    "unknown memo": (b"\x80\x02h\x05.", None),
    "nothing to stop on": (b"\x80\x02.", "IndexError"),
    "protocol of tomorrow": (b"\x80\x09}.", "unsupported pickle protocol"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_pickles_are_refused_and_nothing_is_run(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)  # where the attacks would leave their CANARY
    content, message = HOSTILE[attack]
    with refused(tmp_path, rf"^evil\.pkl is no pickle of plain values and arrays \(.*{message or ''}"):
        restricted_loads(content, "evil.pkl")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, np.load, Path.touch], ids=lambda function: function.__name__
)
def test_calls_are_refused_in_every_protocol(tmp_path, monkeypatch, protocol, function):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": Call(function, "touch CANARY")}, protocol)
    with refused(tmp_path, "Nothing in it was run"):
        restricted_loads(content, "evil.pkl")


def test_one_text_used_for_many_arrays_is_refused():
    part = python2_array(np.zeros(10**6, dtype=np.uint8))
    text = part[part.index(b"T") :][: 5 + 10**6]
    shared = part.replace(text, b"h\x09")
    content = b"\x80\x02](" + text + b"q\x09" + shared * 50 + b"e."
    with pytest.raises(ReproError, match="its arrays are larger than the file"):
        restricted_loads(content, "evil.pkl")


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1), value=st.integers(0, 255), kept=st.floats(0.2, 1))
def test_damaged_pickles_end_in_a_value_or_in_a_sentence(place, value, kept):
    content = bytearray(python2_batch(python2_array(PIXELS)))
    content[int(place * (len(content) - 1))] = value
    with suppress(ReproError):
        restricted_loads(bytes(content[: int(kept * len(content)) + 1]), "evil.pkl")
