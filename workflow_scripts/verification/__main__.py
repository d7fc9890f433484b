"""Without Snakemake: `python -m workflow_scripts.verification verify`, `check`, `compare` or `publish`."""

import argparse
import logging
import sys
from pathlib import Path

from methods.errors import ReproError
from methods.progress import LOG
from methods.settings.load import load_study
from workflow_scripts.verification import bundle
from workflow_scripts.verification.compare import compare, open_side
from workflow_scripts.verification.config import add_options, read_config
from workflow_scripts.verification.folder import fill
from workflow_scripts.verification.verify import STATES, verify

_HELP = "Exit status: 0 all is well, 1 something is broken or differs, 2 other settings or code, 3 not possible."


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.verification", description=__doc__, epilog=_HELP)
    commands = parser.add_subparsers(dest="command", required=True)
    add_options(commands.add_parser("verify", help="walk from tables and figures back to archives"))
    commands.add_parser("check", help="check a bundle, or a folder it was published into").add_argument(
        "bundle", type=Path
    )
    two = commands.add_parser("compare", help="compare two bundles or results folders cell by cell")
    two.add_argument("one", type=Path)
    two.add_argument("two", type=Path)
    two.add_argument("--tolerance", type=float, default=1e-6, help="largest difference that counts as none (1e-6)")
    small = commands.add_parser("publish", help="write a bundle's small files into a folder of a repository")
    small.add_argument("bundle", type=Path)
    small.add_argument("folder", type=Path)
    small.add_argument("--pages", type=Path, nargs="*", default=[], help="pages that quote them (<!-- from FILE -->)")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    LOG.setLevel(logging.INFO)
    try:
        return {"verify": _verify, "check": _check, "compare": _compare, "publish": _publish}[given.command](given)
    except ReproError as error:
        print(error, file=sys.stderr)
        return 3


def _verify(given: argparse.Namespace) -> int:
    return STATES[verify(load_study(read_config(given)))["state"]][0]


def _check(given: argparse.Namespace) -> int:
    flaws, counts = bundle.check(given.bundle)
    for flaw in flaws:
        print(f"{given.bundle}: {flaw}.")
    print(f"{counts['files']} files, records of {counts['artifacts']} artifacts, {counts['links']} links compared.")
    print("BROKEN: fetch the bundle again, or ask who made it." if flaws else "OK: the bundle is whole.")
    return int(bool(flaws))


def _compare(given: argparse.Namespace) -> int:
    found, made = compare(open_side(given.one), open_side(given.two), given.tolerance)
    for line in found:
        print(line)
    for line in made:
        print(f"{line}.")
    print("DIFFERENT: see above." if found else "THE SAME within the tolerance.")
    return int(bool(found))


def _publish(given: argparse.Namespace) -> int:
    count = bundle.publish(given.bundle, given.folder)
    pages = [*sorted(given.folder.glob("*.md")), *given.pages]
    fill(pages)
    print(f"{count} files in {given.folder}; pages that quote them: {', '.join(map(str, pages)) or 'none'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
