"""The errors that hggt raises on purpose, for all three packages.

Each is also a builtin error, so callers need not know this module. Its message is one paragraph that says what was
expected, what was found, where, and what to do; commands print it without a traceback and exit with 1.
"""

RUN_AGAIN = "Run the same command again to resume."


class HggtError(Exception):
    """Base of every error that hggt raises on purpose."""


class SettingsError(HggtError, ValueError):
    """Parameters have invalid values or contradict each other. Commands exit with 2, as for wrong usage.

    Attributes:
        faults: What is wrong, one sentence each; the message is all of them.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class NameFormatError(HggtError, ValueError):
    """A name is not a `PatchId`, or cannot be the id of a group."""


class ImageError(HggtError, ValueError):
    """A file is not a complete picture of the expected kind."""


class TableError(HggtError, ValueError):
    """A file is not a well-formed CSV table."""


class AnnotationError(HggtError, ValueError):
    """An annotator's JSON does not follow the official format."""


class TreeError(HggtError, ValueError):
    """A folder is not an HGGT tree, or its errors prevent the operation."""


class DatasetError(HggtError, ValueError):
    """A built dataset is missing, incomplete or not of the requested kind."""


class RoundError(HggtError, ValueError):
    """An annotation round cannot be created, opened, changed or merged."""


class OutputError(HggtError, OSError):
    """A result cannot be written to the requested place."""


class PublishError(HggtError, ValueError):
    """Publishing was refused because of the licence, missing rights, or the repository's content."""


class HubError(HggtError, ConnectionError):
    """The Hub cannot be reached, refused the request, or returned something unexpected.

    Attributes:
        status: HTTP status of the answer, if it was an error.
        is_unreachable: Whether there was no answer.
    """

    status: int | None = None
    is_unreachable: bool = False


class WorkerError(HggtError, RuntimeError):
    """A worker process was killed from outside, or none could start."""


class MatchError(HggtError, ValueError):
    """Restored images cannot be matched to patch groups."""


class WeightsError(HggtError, FileNotFoundError):
    """Pretrained weights are not available."""


class DeviceError(SettingsError):
    """The requested device cannot be used."""
