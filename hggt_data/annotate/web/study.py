"""Studies: a page shows the versions of a comparison in their order, after the reference if it is shown.

Ids and positions reveal neither the methods nor which comparison is gold.
"""

from pathlib import Path
from typing import Any

from hggt_data.annotate.round import Annotator, Item, Round
from hggt_data.annotate.study.comparisons import Comparisons
from hggt_data.annotate.study.deal import ENLARGED_FOLDER
from hggt_data.annotate.study.votes import question_of
from hggt_data.annotate.web.blind import BlindStore
from hggt_data.annotate.web.store import Answer, AnswerStore
from hggt_data.errors import AnnotationError
from hggt_data.schema import ORIGINAL


class StudyStore(AnswerStore):
    """An `AnswerStore` whose pages are comparisons."""

    def __init__(self, round_: Round) -> None:
        assert round_.study is not None
        self.study: Comparisons = round_.study
        super().__init__(round_)

    @property
    def has_reference(self) -> bool:
        """Whether the first picture of a page is the reference."""
        return self.study.plan.reference == "shown"

    @property
    def num_candidates(self) -> int:
        return self._num_versions - (not self.has_reference)

    def page_facts(self) -> dict[str, Any]:
        """Number of versions, whether the reference is shown and ties are allowed, and how a reference is enlarged."""
        plan = self.study.plan
        facts = {
            "num_versions": self._num_versions,
            "has_reference": self.has_reference,
            "has_ties": plan.ties,
            "enlargement": plan.enlargement,
        }
        return {"study": facts}

    def item_facts(self, annotator: Annotator, item: Item) -> dict[str, Any]:
        """What the page asks."""
        return {"question": self.question(annotator, item)}

    def item_id(self, annotator: Annotator, item: Item) -> str:
        """Differs between orders, too: a browser keeps the picture of each position."""
        return self._digest(annotator, item, *self.order(annotator, item))[:20]

    def order(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        return self.study.orders[annotator.pseudonym, str(item)]

    def shown(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        order = self.order(annotator, item)
        return (ORIGINAL, *order) if self.has_reference else order

    def picture(self, annotator: Annotator, item: Item, position: int) -> Path | None:
        shown = self.shown(annotator, item)
        if position not in range(len(shown)):
            return None
        group = self.study.by_id[item.group].group
        if shown[position] == ORIGINAL and self.study.plan.enlargement is not None:
            return self.round.folder / ENLARGED_FOLDER / f"{group}.png"
        return self.round.picture(group, shown[position])

    def question(self, annotator: Annotator, item: Item) -> str:
        """What the page asks."""
        return self.study.plan.questions[question_of(self.round, annotator, item)]

    def parse(self, content: object) -> Answer:
        answer = Answer.parse(content, self._num_versions)
        # All comparisons have as many versions, so one stands for all.
        if not next(iter(self.study.by_id.values())).allows(answer.labels, ties=self.study.plan.ties):
            labels = [label.value for label in answer.labels]
            tie = ", or all Similar" if self.study.plan.ties else ""
            raise AnnotationError(f"labels is {labels}; expected one Positive and else Negative{tie}")
        return answer

    def _record(self, annotator: Annotator, item: Item, *arguments: Any) -> dict[str, Any]:
        question = self.question(annotator, item)
        return super()._record(annotator, item, *arguments) | {"question": question}

    @property
    def _num_versions(self) -> int:
        return len(self.study.plan.sets_of_versions[0])


def open_store(round_: Round) -> AnswerStore:
    """The answers of a round."""
    if round_.study is not None:
        return StudyStore(round_)
    return BlindStore(round_) if round_.protocol.blind else AnswerStore(round_)
