"""`protocol.json` of a tree: how its annotators were asked, and the rule for the consensus.

Without the file, both are those of the layout. In the file, what it leaves out of the protocol is unknown, and a
missing rule is that of the layout.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hggt_data.errors import TreeError
from hggt_data.io.files import read_json, write_json
from hggt_data.io.parsing import read_value
from hggt_data.schema import ConsensusRule, Protocol

PROTOCOL_FILE = "protocol.json"


@dataclass(frozen=True, slots=True)
class _Content(Protocol):
    """What the file has."""

    consensus: ConsensusRule | None = None


def read_protocol(root: Path, default: Protocol, default_rule: ConsensusRule) -> tuple[Protocol, ConsensusRule]:
    """The protocol of a tree and its rule for the consensus, or the defaults. TreeError if the file is damaged."""
    path = root / PROTOCOL_FILE
    try:
        content = read_value(_Content, read_json(path, TreeError, "correct or remove it"))
    except FileNotFoundError:
        return default, default_rule
    except ValueError as error:
        expected = "expected an object with blind, question, versions_at_once, full_zoom and consensus"
        raise TreeError(f"{path}: {error}; {expected}") from error
    protocol = Protocol(*(getattr(content, field.name) for field in fields(Protocol)))
    return protocol, content.consensus or default_rule


def write_protocol(root: Path, protocol: Protocol, consensus: ConsensusRule | None = None) -> None:
    """Write the file; with a rule for the consensus, if it is not that of the tree's layout."""
    rule = {} if consensus is None else {"consensus": consensus}
    write_json(root / PROTOCOL_FILE, asdict(protocol) | rule)
