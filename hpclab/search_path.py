"""Find files beside a notebook or program that hide a module of Python or a package, and look there last.

Our own programs start as `python -P`, without the current folder, and call `look_here_last()` where the
learner's modules must be found. Elsewhere `settle()` moves that folder to the end, if a file in it hides one.
"""

import importlib.machinery
import os
import sys

_HARMLESS = {"test", "tests"}  # everybody has one, and no library needs Python's


def in_the_way(folder: str, hidden: list[str] | None = None) -> list[str]:
    """The entries of `folder` that would be imported in place of a module of the same name in one of the
    folders `hidden` (by default the rest of sys.path)."""
    places = [
        place for place in (sys.path if hidden is None else hidden) if place and not _same(place, folder)
    ]
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    return [entry for entry in entries if (name := _module(folder, entry)) and _is_found(name, places)]


def settle() -> None:
    """Move the folder that this process was started in to the end of sys.path, if a file in it hides a
    module, and name that file on standard error."""
    if "" not in sys.path and (sys.flags.safe_path or not sys.path):
        return
    place = sys.path.index("") if "" in sys.path else 0
    folder = sys.path[place] or os.curdir
    if _same(folder, os.path.dirname(os.path.dirname(__file__))):  # a checkout that is its own folder
        return
    if found := in_the_way(folder, sys.path[place + 1 :]):
        sys.path.append(sys.path.pop(place))
        print(f"hpclab: {sentence(found, os.path.abspath(folder))}", file=sys.stderr)


def sentence(found: list[str], folder: str) -> str:
    """A sentence that names the entries `found` in `folder`, what they hide, and the remedy."""
    has, it = ("has the name", "it") if len(found) == 1 else ("have the names", "them")
    modules = ", ".join(entry.partition(".")[0] for entry in found[:5])
    return (
        f"{_listed(found)} in {folder} {has} of Python's or a package's own {modules}: rename {it} and "
        "restart what runs, or the wrong one may be imported."
    )


def hiding_folders() -> list[str]:
    """A sentence for each folder of PYTHONPATH, or user site-packages, that hides modules of this Python."""
    import site

    folders = dict.fromkeys(os.environ.get("PYTHONPATH", "").split(os.pathsep), "unset PYTHONPATH")
    if site.ENABLE_USER_SITE:
        folders[site.getusersitepackages()] = "set PYTHONNOUSERSITE=1"
    ours = [place for place in sys.path if place not in folders]
    return [
        f"{folder} hides this Python's own {_listed(found)}: {remedy} before you start."
        for folder, remedy in folders.items()
        if folder in sys.path
        and not _same(folder, os.path.dirname(os.path.dirname(__file__)))
        and (found := in_the_way(folder, ours))
    ]


def _listed(found: list[str]) -> str:
    return ", ".join(found[:5]) + " and more" * (len(found) > 5)


def with_folder_last() -> list[str]:
    """This process's sys.path with the current folder as its last entry, for a child to take over."""
    places = [place for place in sys.path if place]
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        return places
    return places if here in places else [*places, here]


def look_here_last() -> None:
    """Append the current folder to sys.path, so that the learner's own modules are found there."""
    sys.path[:] = with_folder_last()


def _module(folder: str, entry: str) -> str:
    """The name under which Python would import this entry of a folder; "" for none."""
    for suffix in importlib.machinery.all_suffixes():
        if entry.endswith(suffix):
            return entry.removesuffix(suffix)
    package = entry.isidentifier() and os.path.isfile(os.path.join(folder, entry, "__init__.py"))
    return entry if package else ""


def _is_found(name: str, places: list[str]) -> bool:
    """Whether `places` hold a module of this name that a file can hide and that is not _HARMLESS."""
    if name in _HARMLESS or name in sys.builtin_module_names:
        return False
    if importlib.machinery.FrozenImporter.find_spec(name):  # part of the interpreter: no file hides it
        return False
    spec = importlib.machinery.PathFinder.find_spec(name, places)
    return spec is not None and spec.loader is not None


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
