"""Plain folders of pictures: which of their files are pictures, by the endings. What is in them is for `images.py`."""

from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.tree import is_system_file
from hggt_data.wording import plural

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# Of pictures that nothing here reads; one is told of where it lies in the way.
_UNREAD_ENDINGS = (".gif", ".ppm")


@dataclass(frozen=True)
class PictureFolder:
    """What lies in a folder; each list is sorted by name.

    Attributes:
        pictures: the files with a picture's ending. One may still be damaged, or a link that leads nowhere.
        others: the names of all other files.
        folders: the names of the folders in it. Nobody looks into them.
    """

    pictures: list[Path]
    others: list[str]
    folders: list[str]


def list_folder(folder: Path) -> PictureFolder:
    """What lies in a folder of pictures, without what operating systems leave there.

    Raises:
        TreeError: there is no picture.
        OSError: the folder cannot be read.
    """
    found = PictureFolder([], [], [])
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found.folders.append(path.name)
        elif is_picture_name(path.name):
            found.pictures.append(path)
        elif not is_system_file(path.name):
            found.others.append(path.name)
    if not found.pictures:
        inside = f" and {plural(len(found.folders), 'folder')}, not searched" if found.folders else ""
        raise TreeError(
            f"{folder}: no pictures; expected {', '.join(PICTURE_ENDINGS)}, "
            f"found {plural(len(found.others), 'file')}{inside}"
        )
    return found


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return Path(name).suffix.lower() in PICTURE_ENDINGS and not is_system_file(name)


def looks_like_picture(name: str) -> bool:
    """The same for whoever only wonders what a file is: pictures that nothing here reads count, too."""
    return is_picture_name(name) or (name.lower().endswith(_UNREAD_ENDINGS) and not is_system_file(name))
