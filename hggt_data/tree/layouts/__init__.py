"""The known layouts of trees, and which of them a folder has. A new layout is one module here and a line below."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.archive import ArchivePath, open_place
from hggt_data.io.text import format_examples
from hggt_data.tree.folders import describe_entries, enter, folder_names, has_folders, has_pictures, scan
from hggt_data.tree.layouts import diffiqa, hggt, sriqa, table
from hggt_data.tree.listing import Layout, Listing, ListOptions
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions
from hggt_data.tree.table_votes import VOTES_FILE

LAYOUTS = (hggt.LAYOUT, diffiqa.LAYOUT, sriqa.LAYOUT, table.LAYOUT)

_SEPARATE = "Separate them, or pass a part of the folder."
_OTHER_ARCHIVES = (".7z", ".rar", ".tar", ".tar.bz2", ".tar.gz", ".tar.xz", ".tgz")


def list_tree(folder: Path, options: ListOptions | None = None) -> Listing:
    """List a tree in any known layout, or in a zip file; TreeError if it has none, or cannot be listed."""
    options = options or ListOptions()
    if options.lr is not None:
        options = replace(options, lr=enter(options.lr, has_pictures))
    entered = enter(folder, lambda place: _has_rest(place, options.table) or bool(_fitting(place)))
    layout = table.LAYOUT if options.table.names_files and entered.is_dir() else recognise(entered)
    if layout != table.LAYOUT and not options.table.is_default:
        raise TreeError(
            f"{folder} has the layout {layout.name}; `votes`, `pictures`, `label_words` and `source_pattern` are for "
            "tables of votes"
        )
    if not options.table.names_files:
        _require_no_other(entered, layout)
    return layout.list(entered, options)


def _require_no_other(root: Path, layout: Layout) -> None:
    """Refuse a tree that has folders of another layout in it, or a second table of votes: it would not be read."""
    with suppress(OSError):  # listing reports it
        for folder, other in _layouts_below(root):
            if other != layout or other == table.LAYOUT:
                raise TreeError(
                    f"mixed layouts: {root} has the layout {layout.name}, and {folder} in it {other.name}; expected "
                    f"one. {_SEPARATE}"
                )


def _layouts_below(root: Path, depth: int = 2) -> Iterator[tuple[Path, Layout]]:
    """Folders in a folder, and their layouts; a table of votes counts even without pictures."""
    for folder in [root / entry.name for entry in scan(root) if entry.is_dir()]:
        entries = scan(folder)  # once, because a table may have a folder for each of many groups
        if any(entry.name == VOTES_FILE for entry in entries):
            yield folder, table.LAYOUT
        elif any(entry.is_dir() for entry in entries):
            yield from ((folder, layout) for layout in _fitting(folder))
            if depth > 1:
                yield from _layouts_below(folder, depth - 1)


def _has_rest(folder: Path, options: TableOptions) -> bool:
    """Whether a folder has what is not elsewhere: the table if only its pictures are, or its pictures."""
    if options.pictures:
        return options.votes is not None or (folder / VOTES_FILE).is_file()
    return options.votes is not None and has_folders(folder)


def is_tree(folder: Path) -> bool:
    """Whether a folder or zip file is a tree of any known layout."""
    return bool(_fitting(enter(folder, lambda place: bool(_fitting(place)))))


def has_splits(folder: Path, options: TableOptions = NO_TABLE_OPTIONS) -> bool:
    """Whether a folder is a tree of several splits, of which one can be chosen."""
    if options.names_files:
        if options.votes:
            home: Path = open_place(Path(options.votes)).parent
        else:
            home = enter(folder, lambda place: _has_rest(place, options))
        return len(table.LAYOUT.splits(home)) > 1
    entered = enter(folder, lambda place: bool(_fitting(place)))
    return any(len(layout.splits(entered)) > 1 for layout in _fitting(entered))


def recognise(folder: Path) -> Layout:
    """The layout of a folder; TreeError if it has none of them, or several."""
    if folder.is_file():
        raise TreeError(f"{folder} is neither a folder nor a zip file; expected a tree. Unpack it if it is an archive.")
    if not folder.is_dir():
        raise TreeError(f"{folder}: no such folder or zip file; expected a tree")
    fitting = _fitting(folder)
    if len(fitting) > 1:
        names = " and ".join(layout.name for layout in fitting)
        raise TreeError(f"mixed layouts: {folder} has the layouts {names}; expected one. {_SEPARATE}")
    if not fitting:
        raise TreeError(_nothing_fits(folder))
    return fitting[0]


def _fitting(folder: Path) -> list[Layout]:
    return [layout for layout in LAYOUTS if all(layout.marks(folder).values())]


def _nothing_fits(folder: Path) -> str:
    """Why a folder is not a tree, and what to pass instead."""
    if (folder / "manifest.json").is_file() and (folder / "data").is_dir():
        advice = "Unpack it" if isinstance(folder, ArchivePath) else "Convert it with `hggt-data export tree`"
        return f"{folder} is a built dataset; expected a tree. {advice}."
    whole = [above for above in folder.absolute().parents[:3] if _fitting(above)]
    if whole:
        return f"{folder} is a part of the tree {whole[0]}; pass that."
    message = f"{folder} is not a tree of a known layout; found {describe_entries(folder)}."
    if archives := [entry.name for entry in scan(folder) if entry.name.lower().endswith(_OTHER_ARCHIVES)]:
        return f"{message} Unpack {format_examples(archives)}; only zip files are read as they are."
    marks = {layout.name: layout.marks(folder) for layout in LAYOUTS}
    near = [name for name, own in marks.items() if any(own.values())]
    for name in sorted(near or marks, key=lambda name: -sum(marks[name].values()) / len(marks[name])):
        missing = [mark for mark, is_there in marks[name].items() if not is_there]
        message += f" The layout {name} needs {'; '.join(missing)}."
    parts = [str(folder / name) for name in folder_names(folder) if _fitting(folder / name)]
    if (
        parts and isinstance(folder, ArchivePath) and Path(folder).is_dir()
    ):  # no path leads into zip files that it names
        message += " Put the zip files of one tree into a folder of their own."
    elif parts:
        message += f" Pass {' or '.join(parts)} instead."
    return message
