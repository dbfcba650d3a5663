"""Licences of data and networks: which ids are valid, and which data is under the HGGT terms."""

import re

from hggt_data.errors import SettingsError

LICENSE_FILE = "LICENSE.txt"

HGGT_LICENSE_NAME = "hggt-terms"

HGGT_TERMS = (
    "The official HGGT data is for non-commercial academic research only. Its terms forbid copying, publishing or "
    "distributing any portion of it further; copies may be made only inside one organisation."
)

# Licence ids on the Hub that do not say what the licence is.
_NO_LICENCE = (HGGT_LICENSE_NAME, "other", "unknown")


def is_restricted(license_id: str | None) -> bool:
    """Whether the data is under the HGGT terms: it is if no licence is given."""
    return not license_id or license_id in _NO_LICENCE


def require_license_id(license_id: str) -> str:
    """Check that this looks like a licence id and permits redistribution; only the Hub knows whether it exists.

    Raises:
        SettingsError: It does not.
    """
    if not re.fullmatch(r"(?!(null|none|true|false)$)[a-z][a-z0-9.+-]*", license_id) or is_restricted(license_id):
        raise SettingsError(
            f"{license_id!r} is not a licence id; expected one such as cc0-1.0 or cc-by-4.0, or no licence for the "
            "HGGT terms"
        )
    return license_id


def read_license(card: str) -> str | None:
    """The licence id in the YAML head of a card; None if it has none."""
    found = re.search(r"^license: *(\S+) *$", card.partition("\n---")[0], re.MULTILINE)
    return found[1].strip("'\"") if found else None


def describe_license(license_id: str | None) -> str:
    """A licence in one line."""
    if license_id is None or is_restricted(license_id):
        return "HGGT terms: non-commercial academic research, no redistribution"
    return license_id


def format_licence_note(license_id: str | None) -> str:
    """The text of the licence file in an export."""
    if is_restricted(license_id):
        return f"The data here is under the HGGT terms. {HGGT_TERMS}\n"
    return f"The data here is under {license_id}, like the data that it was taken from.\n"
