"""Record a refactor as equivalent: `python -m workflow_scripts.accept "why it computes the same"`.

Files on the disk record the digest of the code that made them. Where this checkout's is another one, and nothing else
differs, the new digest is written into resources/equivalent_code.yaml as standing for the recorded one: nothing of it
runs again, until that code is changed once more. Delete an entry, or the file, to take it back.
"""

import argparse
import sys

from methods.equivalent_code import FILE, entries, write_entries
from methods.errors import ReproError, refuse
from methods.settings.load import load_study
from methods.source_digest import ROOT
from workflow_scripts.adoption.equivalence import changes, concerns, entry
from workflow_scripts.verification.config import add_options, read_config
from workflow_scripts.verification.findings import short
from workflow_scripts.verification.layout import KINDS

_KINDS = [kind for kind, (_, form) in KINDS.items() if form]


def main(arguments: list[str]) -> int:
    """Accept what differs in code alone; returns the exit code."""
    given = _parser().parse_args(arguments)
    reason = " ".join(given.reason.split())
    refuse(not reason, "Nothing is accepted without a reason: make accept REASON='why the new code computes the same'.")
    found, refused = changes(load_study(read_config(given)), given.only)
    new = [entry(change, reason, given.chosen) for change in found]
    for kind, lines in refused.items():
        print(f"Not accepted: {kind}: {lines[0]}", f"(and {len(lines) - 1} more)" if len(lines) > 1 else "")
    for own in new:
        print(f"{short(own.code)} stands for {short(own.same_as)}: {own.concerns}")
    if not new:
        print("Nothing to accept: no file here differs from this checkout in its code alone.")
    elif not given.dry_run:
        write_entries([*entries(ROOT), *new], ROOT)
        print(f"Written to {FILE}: commit it with the refactor.")
    if newer := [concerns(change.same) for change in found if change.same]:
        print(f"Made by the new code already, so run `make adopt` as well: {'; '.join(newer)}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflow_scripts.accept", description=__doc__)
    parser.add_argument("reason", help="why the new code computes the same, in a sentence")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be accepted")
    parser.add_argument("--only", nargs="+", default=_KINDS, choices=_KINDS, help="kinds of files whose code is meant")
    older = "how the digest begins that was refactored, where files record several"
    parser.add_argument("--from", dest="chosen", action="append", default=[], metavar="DIGEST", help=older)
    add_options(parser)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ReproError as error:
        sys.exit(str(error))
