"""The errors that hggt raises on purpose, for all three packages.

Each is also a builtin error, so callers need not know this module. Its message is one paragraph that says what was
expected, what was found, where, and what to do; the commands print it without a traceback and exit with 1.
"""

RUN_AGAIN = "Run the same command again; it goes on where it stopped."


class HggtError(Exception):
    """Base of every error that hggt raises on purpose."""


class SettingsError(HggtError, ValueError):
    """A parameter has an invalid value or contradicts another one. Commands exit with 2, as for wrong usage."""


class NameFormatError(HggtError, ValueError):
    """A name is not a `PatchId`."""


class ImageError(HggtError, ValueError):
    """A file is not a whole 8-bit RGB picture."""


class AnnotationError(HggtError, ValueError):
    """An annotator's JSON does not follow the official format."""


class TreeError(HggtError, ValueError):
    """A folder is not an HGGT tree, or the tree has faults that block what was asked."""


class DatasetError(HggtError, ValueError):
    """A built dataset is missing, incomplete or of another kind than asked for."""


class RoundError(HggtError, ValueError):
    """A round of annotation cannot be dealt, opened or merged as asked."""


class OutputError(HggtError, OSError):
    """A result cannot be written where it was asked for."""


class PublishError(HggtError, ValueError):
    """A publication is refused: the licence, the rights, or what lies there already stands against it."""


class HubError(HggtError, ConnectionError):
    """The Hub cannot be reached, refuses, or holds something else than it should.

    Attributes:
        status: of the HTTP answer, where there was one that says no.
        is_unreachable: whether there was no answer at all.
    """

    status: int | None = None
    is_unreachable: bool = False


class WorkerError(HggtError, RuntimeError):
    """A worker process was killed from outside, or none could start."""


class MatchError(HggtError, ValueError):
    """Restored images cannot be matched to patch groups."""


class WeightsError(HggtError, FileNotFoundError):
    """Pretrained weights cannot be had."""


class DeviceError(HggtError, ValueError):
    """A device is asked for that cannot be used here."""
