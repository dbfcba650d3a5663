"""Writes a study of pairs in SRIQA-Bench's layout: one vote per slot and pair, without annotators and times."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hggt_data.annotate.round import Kind, Round
from hggt_data.annotate.study.votes import StudyVote
from hggt_data.errors import RoundError
from hggt_data.io.files import link_or_copy, write_text
from hggt_data.schema import LR, ORIGINAL, SLOTS, PairVote
from hggt_data.tree.layouts.sriqa import picture_stem

_LABELS = {"first": ("Positive", "Negative"), "second": ("Negative", "Positive"), "tie": ("Similar", "Similar")}


def require_sriqa(round_: Round) -> None:
    """RoundError if the layout cannot hold the study."""
    assert round_.study is not None
    plan = round_.study.plan
    reasons = []
    if plan.design != "pairs":
        reasons.append("its design is best-of")
    if len(plan.questions) > 1:
        reasons.append(f"it has {len(plan.questions)} questions")
    if round_.votes > len(SLOTS):
        reasons.append(f"it has {round_.votes} votes per comparison, more than {len(SLOTS)}")
    reasons += [f"it has no {kind} pictures" for kind in (ORIGINAL, LR) if not (round_.patches / kind).is_dir()]
    if reasons:
        raise RoundError(
            f"{round_.folder} does not fit the layout sriqa: {'; '.join(reasons)}. Expected pairs, one question, "
            "ground truths and low-resolution pictures (`gt` and `lr` of the study); use the layout table"
        )


def write_sriqa(round_: Round, folder: Path, votes: Sequence[StudyVote], *, copy: bool) -> None:
    """Write the votes of the kind `vote`, and all pictures."""
    assert round_.study is not None
    given: Counter[str] = Counter()
    for one in votes:
        vote = one.vote
        if one.item.kind is not Kind.VOTE or not isinstance(vote, PairVote) or vote.preferred is None:
            continue
        slot, group = SLOTS[given[one.item.group]], one.comparison.group
        given[one.item.group] += 1
        stems = [picture_stem(group, name) for name in (vote.first, vote.second)]
        content = {
            f"Picture_0{k}": {"Name": f"{stem}.png", "Label": label}
            for k, (stem, label) in enumerate(zip(stems, _LABELS[vote.preferred], strict=True), start=1)
        }
        name = "_".join([group, *(stem.removeprefix(f"{group}_") for stem in stems)])
        write_text(folder / "labels" / slot / group / f"{name}.json", json.dumps(content, indent=4))
    for group in {one.group for one in round_.study.by_id.values()}:
        targets = {name: folder / "images" / name for name in round_.candidates}
        targets |= {ORIGINAL: folder / "images" / "Original", LR: folder / "LRImages"}
        for name, place in targets.items():
            place.mkdir(parents=True, exist_ok=True)
            stem = picture_stem(group, ORIGINAL if name == LR else name)
            link_or_copy(round_.picture(group, name), place / f"{stem}.png", copy=copy)
