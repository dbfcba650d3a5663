"""Where a round's votes were copied to, so that a withdrawal can say which folders may still hold them."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hggt_data.errors import RoundError
from hggt_data.io.files import read_json, write_json
from hggt_data.io.parsing import read_value

COPIES = "copies.json"


@dataclass(frozen=True, slots=True)
class Copy:
    """A folder made from a round.

    Attributes:
        path: Absolute path.
        command: What made it, such as `hggt-data merge`.
        time: When, in UTC.
    """

    path: str
    command: str
    time: str

    def holds(self, pseudonym: str) -> bool | None:
        """Whether a table in the folder names the pseudonym; None if the folder is not there any more."""
        folder = Path(self.path)
        if not folder.is_dir():
            return None
        return any(pseudonym in path.read_text("utf-8", "replace") for path in folder.glob("*.csv"))


def note_copy(folder: Path, output: Path, command: str) -> None:
    """Note that a command has copied votes of a round to a folder; a round on a read-only disk stays as it is."""
    with suppress(OSError):
        path = str(output.resolve())
        kept = [copy for copy in read_copies(folder) if copy.path != path]
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        write_json(folder / COPIES, [asdict(copy) for copy in (*kept, Copy(path, command, time))], private=True)


def read_copies(folder: Path) -> list[Copy]:
    """The folders that were made from a round, the newest last."""
    path = folder / COPIES
    try:
        return read_value(list[Copy], read_json(path, RoundError, "remove it"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        if isinstance(error, RoundError):
            raise
        raise RoundError(f"{path} is damaged ({error}); remove it") from error
