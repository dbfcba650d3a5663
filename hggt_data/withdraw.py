"""Removes a person's answers from a round by their withdrawal code, and says what else may still hold them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from hggt_data.annotate.copies import read_copies
from hggt_data.annotate.withdraw import withdraw_from_round
from hggt_data.dataset.remove import find_in_dataset
from hggt_data.hub.holders import find_holders
from hggt_data.hub.pseudonyms import read_pseudonyms
from hggt_data.hub.push import pseudonyms_file_of
from hggt_data.io.text import plural
from hggt_data.ranges import require_lists
from hggt_data.unwanted import Unwanted

_DEFAULT_ACCOUNTS = Path("accounts.json")


def withdraw_person(
    round_folder: str | Path,
    code: str,
    *,
    accounts: str | Path | None = None,
    datasets: Sequence[str | Path] = (),
    repositories: Sequence[str] = (),
) -> list[str]:
    """Remove everything that a person has given to a round, by their withdrawal code.

    Removes votes, practice, gold, repeats, the records of how groups were shown, reasons for skips, the consent, the
    name and the account; only the number of withdrawals is kept. After an interruption, the same call completes it.

    Args:
        round_folder: Round, or study.
        code: Withdrawal code that the page showed this person.
        accounts: Accounts file that may have the person.  [default: accounts.json in the current folder, if it exists]
        datasets: Dataset built from the round, to search for the votes; repeatable.
        repositories: Dataset on the Hub to search in all its commits; repeatable. Pass the dataset that was pushed as
            well, because the pseudonyms on the Hub are listed beside it.

    Returns:
        What was removed, what may still hold the votes, and the commands that remove them there; one line each.

    Raises:
        RoundError: It is not a round, or no one has this code.
        OutputError: The round is being served.
        DatasetError: A dataset does not agree with its manifest.
        HubError: A repository cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, withdraw_person, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> patches = write_demo_tree(folder).train / "images/0-6"
        >>> _ = deal_groups(patches, folder / "round", ["Ann", "Ben"], DealSettings(votes=2), workers=1)
        >>> try:
        ...     withdraw_person(folder / "round", "abcd-efgh")
        ... except ValueError as error:
        ...     "no one has this withdrawal code" in str(error)
        True
    """
    require_lists(datasets=datasets, repositories=repositories)
    folder = Path(round_folder)
    file = Path(accounts) if accounts is not None else _DEFAULT_ACCOUNTS if _DEFAULT_ACCOUNTS.is_file() else None
    done = withdraw_from_round(folder, code, file)
    pseudonym = done.pseudonym
    lines = [
        f"{folder}: removed the answers, records, consent and name of {pseudonym} ({plural(done.num_files, 'file')}); "
        f"{plural(done.num_withdrawals, 'withdrawal')} so far",
    ]
    if done.num_accounts:
        lines.append(f"{file}: removed the account")
    elif file is None:
        lines.append("Pass `accounts` if the person has an account in a file elsewhere.")
    lines.append(f"Run hggt-data reassign {quote(str(folder))} to have others judge the groups.")
    lines += _describe_copies(folder, pseudonym)
    names = {pseudonym}
    for dataset in map(Path, datasets):
        names |= {read_pseudonyms(pseudonyms_file_of(dataset)).get(pseudonym, pseudonym)}
        lines.append(_describe_dataset(dataset, pseudonym))
    for repo_id in repositories:
        unwanted = Unwanted(annotators=frozenset(names))
        lines += find_holders(repo_id, unwanted).describe(str(datasets[0]) if datasets else "DATASET")
    if not datasets:
        lines.append(
            "Datasets built from a merged tree may still hold the votes: hggt-data remove DATASET --annotator "
            f"{pseudonym} removes them, and with --repository says which versions on the Hub do."
        )
    lines.append("Not searched: copies and backups, results computed from the votes, and what others have downloaded.")
    return lines


def _describe_copies(folder: Path, pseudonym: str) -> Iterator[str]:
    """The folders made from the round that may hold the votes."""
    for copy in read_copies(folder):
        made = f"made by {copy.command} on {copy.time[:10]}"
        holds = copy.holds(pseudonym)
        if holds is None:
            yield f"{copy.path} ({made}) is not there any more; wherever it is now, it may hold the votes."
        elif holds:
            yield f"{copy.path} ({made}) still holds the votes: delete it, and make it again if you need it."


def _describe_dataset(dataset: Path, pseudonym: str) -> str:
    found = find_in_dataset(dataset, Unwanted(annotators=frozenset((pseudonym,))))
    if not found:
        return f"{dataset} holds none of the votes."
    command = f"hggt-data remove {quote(str(dataset))} --annotator {pseudonym}"
    return f"{dataset} still holds {plural(found.num_votes, 'vote')}; remove them with: {command}"
