"""`hpclab summary`: what you solved and predicted, in one file that you may hand in for feedback."""

import argparse
import secrets
from pathlib import Path

from hpclab.cli import progress
from hpclab.course import ledger


def configure(parser: argparse.ArgumentParser) -> None:
    progress.configure(parser)
    parser.add_argument("--name", default="", help="a name to be called by (default: a pseudonym)")
    parser.add_argument("--to", metavar="FOLDER", help="also put a copy there, for whoever can list it")


def run(options: argparse.Namespace) -> int:
    from hpclab.classroom import exchange, summary_file

    path = progress.ledger_path(options)
    if not path.is_file():
        raise ValueError(f"Nothing is kept yet in {path.parent}; --folder names another course folder.")
    content = summary_file.signed(ledger.read(path), path.parent, options.name)
    own, called = path.with_name(summary_file.NAME), summary_file.read(content).learner
    exchange.put(own, content, 0o600)
    print(f"{own}, signed as “{called}”, holds your predictions and solved exercises and nothing else.")
    if options.to:
        copy = Path(options.to) / f"{secrets.token_hex(16)}.json"
        exchange.put(copy, content, 0o644)
        print(f"A copy is {copy}.")
    return 0
