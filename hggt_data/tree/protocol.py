"""`protocol.json` of a tree: how its annotators were asked. Without it, the layout says what is known."""

from dataclasses import asdict
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.files import read_json, write_json
from hggt_data.io.parsing import read_value
from hggt_data.schema import HGGT_PROTOCOL, Protocol

PROTOCOL_FILE = "protocol.json"


def read_protocol(root: Path, default: Protocol = HGGT_PROTOCOL) -> Protocol:
    """The protocol of a tree; `default`, that of its layout, if it has no file. TreeError if the file is damaged."""
    path = root / PROTOCOL_FILE
    try:
        return read_value(Protocol, read_json(path, TreeError, "correct or remove it"))
    except FileNotFoundError:
        return default
    except ValueError as error:
        expected = "expected an object with blind, question, versions_at_once and full_zoom"
        raise TreeError(f"{path}: {error}; {expected}") from error


def write_protocol(root: Path, protocol: Protocol) -> None:
    """Write the file."""
    write_json(root / PROTOCOL_FILE, asdict(protocol))
