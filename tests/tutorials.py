"""Tutorials that run: the blocks of a page of docs/tutorials/ are carried out in a copy of the project, in their order.

What a block's fence says, decides what is done with it:

* ``bash``: its lines are run as in one terminal: folder and variables are kept from block to block, and a failing
  command fails the page. With ``title="ends with an error"`` the last command has to fail, and with
  ``title="not run: <reason>"`` nothing is run; nor is it with ``title="needs a cluster"``, but in
  `tests/test_workflow_slurm.py`, which has one.
* ``text`` after ``bash``: lines which its output holds in this order; ``...`` stands for anything within a line, and
  alone on a line for any lines.
* any other language with ``title="<file>"``: the file is written; it must not have been there. ``<file>, under <key>:``
  puts the block below the only line of that key, ``<file>, in place of <key>:`` in the place of that one line (indented
  or not), and ``<file>, at the end`` at the end of the file. Of several keys (``under evaluate: digits8:``) each is the
  next line of its name after the one before.

`python -m tests.tutorials` lists every block and what is done with it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workflow import ROOT, once

PAGES = ROOT / "docs/tutorials"
FIRST = "reproduce-a-paper"  # the other tutorials go on in its folder
NOT_RUN = ("not run", CLUSTER := "needs a cluster")  # beginnings of titles
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_NOT_CODE = {".git", ".venv", ".snakemake", "data", "results", "logs", "site", "__pycache__"}
_PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title (empty without one), its text and the line of the page it begins on."""

    language: str
    title: str
    text: str
    line: int

    @property
    def action(self) -> str:
        """What is done with it, in words."""
        if self.language == "bash":
            return self.title or "run"
        if self.language == "text":
            return "compared with the output"
        return f"writes {self.title}" if self.title else "shown"


def blocks(page: str) -> list[Block]:
    """The blocks of a tutorial, by the name of its page."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return [
        Block(found["language"], found["title"] or "", _dedented(found), text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def _dedented(found: re.Match[str]) -> str:
    return re.sub(f"^{found['indent']}", "", found["text"], flags=re.M)


def clean_environment() -> dict[str, str]:
    """The environment without what pytest hands on to a terminal."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}


def new_project(root: Path) -> Path:
    """A copy of the project's files in ``root``, with `.venv` being the environment of the running tests."""
    shutil.copytree(ROOT, root, ignore=_left_out, symlinks=True, dirs_exist_ok=True)
    (root / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for stamp in (".runtime", ".dev", ".slurm"):  # younger than the requirements: make has nothing to install
        (root / ".venv" / stamp).touch()
    return root


def _left_out(folder: str, names: list[str]) -> set[str]:
    return _NOT_CODE & set(names) if Path(folder) == ROOT else {"__pycache__"} & set(names)


def finished_project(factory: Any) -> Path:
    """The project after the first tutorial, made once for all tests of a session: to be copied, not changed.

    Args:
        factory: pytest's ``tmp_path_factory``.
    """
    return once(factory, "tutorials", lambda folder: follow(FIRST, new_project(folder / "project"))) / "project"


def go_on(page: str, factory: Any, folder: Path) -> Path:
    """Carry out a page where the first tutorial has ended; the project, below the empty ``folder``."""
    root = folder / "project"
    shutil.copytree(finished_project(factory), root, symlinks=True)
    follow(page, root)
    return root


def follow(page: str, root: Path) -> None:
    """Carry out the page in the project at ``root``; its home folder is beside the project.

    Raises:
        AssertionError: a command failed, printed something else than the page shows, or a file was already there.
    """
    terminal = Terminal(root)
    output: str | None = None
    for block in blocks(page):
        place = f"docs/tutorials/{page}.md, line {block.line}"
        if block.language == "bash":
            output = None if block.title.startswith(NOT_RUN) else terminal.run(block, place)
        elif block.language == "text" and output is not None:
            compare(block.text, output, place)
        elif block.title and block.language != "bash":
            write(block, root, place)


class Terminal:
    """Runs blocks one after another with the folder and the variables that the one before left.

    Args:
        root: of the project, where it begins.
        name: tells it from others that are open at the same time.
    """

    def __init__(self, root: Path, name: str = "state") -> None:
        self.state = root.with_name(f"{root.name}.{name}")
        home = root.with_name(f"{root.name}.home")
        home.mkdir(exist_ok=True)
        self.state.write_text(f"export HOME={shlex.quote(str(home))}\ncd {shlex.quote(str(root))}\n")
        self.environment = {**clean_environment(), "CORES": "2", "TERM": "dumb"}

    def run(self, block: Block, place: str) -> str:
        """What the block prints, standard error joined to standard output."""
        done = subprocess.run(
            self.command(block),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
        failed = block.title == "ends with an error"
        assert (done.returncode != 0) == failed, f"{place}: exit code {done.returncode}\n{block.text}\n{done.stdout}"
        return done.stdout

    def command(self, block: Block) -> list[str]:
        """What runs the block and keeps its folder and variables."""
        state = shlex.quote(str(self.state))
        keep = f'{{ export -p; echo cd "$(printf %q "$PWD")"; }} > {state}'
        return ["bash", "-c", f"set -e -o pipefail\n. {state}\n{block.text}\n{keep}\n"]


def compare(shown: str, output: str, place: str) -> None:
    """Hold the lines that a page shows against what its command printed, in order; ``...`` stands for anything."""
    lines = iter([line.rstrip() for line in output.splitlines()])
    for wanted in filter(None, map(str.rstrip, shown.splitlines())):
        if wanted == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("...")))
        assert any(pattern.search(line) for line in lines), f"{place}: not printed: {wanted}\n{output}"


def write(block: Block, root: Path, place: str) -> None:
    """Write the file of a block, or change its entry."""
    name, _, where = block.title.partition(", ")
    path = root / name
    if not where:
        assert not path.exists(), f"{place}: {name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    if where == "at the end":
        path.write_text("".join([*lines, block.text]))
        return
    order = re.fullmatch(r"(under|in place of) (.+)", where)
    assert order, f"{place}: {where}"
    replaced, whole = order[1] != "under", order[2]
    keys = [whole] if any(line.lstrip().startswith(whole) for line in lines) else re.findall(r"\S[^:]*:", whole)
    fits = [line.lstrip().startswith(keys[0]) if replaced else line.strip() == keys[0] for line in lines]
    assert sum(fits) == 1, f"{place}: {sum(fits)} lines of {name} are {keys[0]}"
    number = fits.index(True)
    for key in keys[1:]:
        number = next(i for i in range(number + 1, len(lines)) if lines[i].lstrip().startswith(key))
    lines[number : number + 1] = [block.text] if replaced else [lines[number], block.text]
    path.write_text("".join(lines))


def pages() -> list[str]:
    """Names of all tutorials."""
    return sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "index")


def listing() -> Iterator[str]:
    """A line for every block of every tutorial."""
    for page in pages():
        for block in blocks(page):
            start = block.text.strip().splitlines()[0]
            yield f"{page}.md:{block.line}  {block.language}, {block.action}: {start}"


if __name__ == "__main__":
    print("\n".join(listing()))
