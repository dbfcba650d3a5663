"""Licences of data and networks: which ids are valid, and which data must not be passed on."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hggt_data.errors import SettingsError

LICENSE_FILE = "LICENSE.txt"

HGGT_LICENSE_NAME = "hggt-terms"
# Also the Hub's id for this case.
UNKNOWN_LICENSE = "unknown"

# The terms of all three have the same words.
HGGT_TERMS = (
    "The official data of HGGT, DiffIQA and SRIQA-Bench is for non-commercial academic research only. Its terms forbid "
    "copying, publishing or distributing any portion of it further; copies may be made only inside one organisation."
)
_UNKNOWN_TERMS = "No licence was given for this data: ask its author before you use it or pass it on."

# Ids of the Hub for licences that permit passing data on; https://huggingface.co/docs/hub/repositories-licenses
_HUB_IDS = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc0-1.0
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0
    gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail osl-3.0
    pddl postgresql unlicense wtfpl zlib
""".split()  # noqa: SIM905
_OTHER = "other:"
_OTHER_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")
# Ids that do not say what the licence is.
_NO_LICENCE = (HGGT_LICENSE_NAME, "other", UNKNOWN_LICENSE)


def is_restricted(license_id: str | None) -> bool:
    """Whether the data must not be passed on: under the HGGT terms, or without a known licence."""
    return not license_id or license_id.removeprefix(_OTHER) in _NO_LICENCE


def terms_of(license_id: str | None) -> str:
    """The terms of data that must not be passed on, in sentences."""
    return HGGT_TERMS if (license_id or "").removeprefix(_OTHER) == HGGT_LICENSE_NAME else _UNKNOWN_TERMS


def require_license_id(license_id: str) -> str:
    """Check that this is a licence id of the Hub that permits redistribution, or `other:NAME`.

    Raises:
        SettingsError: It is neither.
    """
    is_other = license_id.startswith(_OTHER) and _OTHER_NAME.fullmatch(license_id.removeprefix(_OTHER))
    if is_restricted(license_id) or not (is_other or license_id in _HUB_IDS):
        near = get_close_matches(license_id.lower(), _HUB_IDS, n=1)
        hint = f"did you mean {near[0]!r}? Otherwise expected" if near else "expected"
        raise SettingsError(
            f"{license_id!r} is not a licence id; {hint} an id of the Hub such as cc0-1.0 or cc-by-4.0, other:NAME for "
            "another licence, or none if you do not know it"
        )
    return license_id


def joined_license(license_ids: Sequence[str | None]) -> str | None:
    """The licence of what was made from several data sets; None if none of them has a known one.

    Terms that forbid passing data on win, also those that are not known; otherwise several licences become
    `other:ONE+TWO`, because all of them apply.
    """
    if not any(license_ids):
        return None
    names = [(one or UNKNOWN_LICENSE).removeprefix(_OTHER) for one in license_ids]
    if HGGT_LICENSE_NAME in names:
        return HGGT_LICENSE_NAME
    if any(map(is_restricted, names)):
        return UNKNOWN_LICENSE
    joined = sorted({part for name in names for part in name.split("+")})
    return license_ids[0] if len(set(license_ids)) == 1 else _OTHER + "+".join(joined)


def card_license(license_id: str) -> tuple[str, str | None]:
    """The fields `license` and `license_name` of a card."""
    if license_id == HGGT_LICENSE_NAME:
        return "other", HGGT_LICENSE_NAME
    if license_id.startswith(_OTHER):
        return "other", license_id.removeprefix(_OTHER)
    return license_id, None


def read_license(card: str) -> str | None:
    """The licence id in the YAML head of a card; None if it has none."""
    fields = re.findall(r"^(license|license_name): *(\S+) *$", card.partition("\n---")[0], re.MULTILINE)
    found = {name: value.strip("'\"") for name, value in fields}
    license_id, name = found.get("license"), found.get("license_name")
    return f"{_OTHER}{name}" if license_id == "other" and name else license_id


def describe_license(license_id: str) -> str:
    """A licence in one line."""
    texts = {
        HGGT_LICENSE_NAME: "HGGT terms: non-commercial academic research, no redistribution",
        UNKNOWN_LICENSE: "not known; ask the author",
    }
    return texts.get(license_id, license_id)


def licence_file_of(path: Path) -> Path:
    """The file beside another that states the licence of its content."""
    return path.with_name(f"{path.name}.{LICENSE_FILE}")


def format_licence_note(license_id: str) -> str:
    """The text of the licence file in an export."""
    if license_id == HGGT_LICENSE_NAME:
        return f"The data here is under the HGGT terms. {HGGT_TERMS}\n"
    if is_restricted(license_id):
        return f"{_UNKNOWN_TERMS}\n"
    return f"The data here is under {license_id}, like the data that it was taken from.\n"
