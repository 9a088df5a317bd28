"""The tokens that lesson 05 makes, kept for the lessons that store, train on and serve them: a manifest and a
file of raw little-endian uint16 tokens. Both are written under another name and renamed, the manifest last,
so that a crash leaves the previous corpus or the new one. Loading checks the SHA-256 before a single token is
used.
"""

import hashlib
import json
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from hpclab import checks
from hpclab.cluster.host import private
from hpclab.corpus.files import Corpus, chunks, collect
from hpclab.corpus.tokeniser import Tokeniser, fingerprint, tokenise, train

MANIFEST = "manifest.json"


class StoredCorpusError(RuntimeError):
    """The saved tokens cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class StoredCorpus:
    """The tokens of a saved corpus and its `tokeniser`. `tokens` is a read-only memory map, shape (tokens,),
    uint16: only the parts that are used are read from the disk."""

    tokens: numpy.memmap
    tokeniser: Tokeniser


def cache_directory() -> Path:
    """The private folder for saved corpora: ``$HPCLAB_CACHE_DIR``, else under the XDG cache folder."""
    chosen = os.environ.get("HPCLAB_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "hpclab"


def save(corpus: Corpus, tokeniser: Tokeniser, tokens: numpy.ndarray) -> Path:
    """Write `tokens` and their manifest in place of what was there, and return the manifest's path: in
    `cache_directory()`, else in a private folder of this machine. OSError if neither can be written."""
    checks.instance("corpus", corpus, Corpus)
    checks.instance("tokeniser", tokeniser, Tokeniser)
    digest = fingerprint(tokens)
    body = {"corpus": corpus.checksum, "files": len(corpus.files), "python": platform.python_version()}
    body |= {"merges": tokeniser.merges.hex(), "sha256": digest, "data": f"tokens-{digest[:16]}.uint16"}
    body["checksum"] = _checksum(body)
    content = tokens.astype("<u2", copy=False).tobytes()
    try:
        return _keep(body, content, cache_directory() / "corpus")
    except OSError:
        return _keep(body, content, private.home().path / "corpus")


def _keep(body: Mapping[str, Any], content: bytes, folder: Path) -> Path:
    """Write the tokens `content` and the manifest `body`, remove older tokens, return the manifest."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StoredCorpusError(
            f"{folder} is a link or belongs to somebody else, so nothing is kept there. "
            "Set HPCLAB_CACHE_DIR to a folder of your own."
        )
    folder.chmod(0o700)
    _write(folder / body["data"], content)
    _write(folder / MANIFEST, (json.dumps(body) + "\n").encode())
    for old in folder.glob("tokens-*.uint16"):
        if old.name != body["data"]:
            old.unlink(missing_ok=True)
    return folder / MANIFEST


def load() -> StoredCorpus:
    """Load and check what `save` wrote; StoredCorpusError says what is wrong with it and what to do."""
    folder = cache_directory() / "corpus"
    if not (folder / MANIFEST).exists() and (private.home().path / "corpus" / MANIFEST).exists():
        folder = private.home().path / "corpus"
    path, again = folder / MANIFEST, "Run lesson 05 to its end to make it again."
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body.pop("checksum") != _checksum(body):
            raise ValueError("changed")
        tokeniser = Tokeniser(bytes.fromhex(body["merges"]))
        path = folder / Path(body["data"]).name
        content = path.read_bytes()
    except FileNotFoundError:
        what = f"There is no saved corpus in {folder} yet" if path.name == MANIFEST else f"{path} is missing"
        raise StoredCorpusError(f"{what}. {again}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoredCorpusError(f"{path} is damaged. {again}") from None
    if hashlib.sha256(content).hexdigest() != body["sha256"]:
        raise StoredCorpusError(f"{path} is damaged: its checksum is not the one it was saved with. {again}")
    return StoredCorpus(numpy.memmap(path, dtype="<u2", mode="r"), tokeniser)


def load_or_make() -> StoredCorpus:
    """Load what lesson 05 has saved; where that is missing or damaged, tokenise 5 MiB of text in some
    seconds, save and load that. OSError where nothing can be written."""
    try:
        return load()
    except StoredCorpusError:
        text = collect("5 MiB")
        tokeniser = train(text)
        parts = [tokenise(tokeniser, chunk) for chunk in chunks(text, "256 KiB")]
        save(text, tokeniser, numpy.concatenate(parts))
        return load()


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write to a temporary file, flush it to the disk, and rename it to `path`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
