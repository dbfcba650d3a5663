"""The words of the pages, in the language of the round or of the browser.

`static/texts.json` has all of them in English; `texts_blind.json`, `texts_question.json`, `texts_study.json` and
`texts_reference.json` (of a study with a reference) replace some in such rounds. Each has a translation beside it, such
as `texts_zh.json`, with the same keys.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from starlette.datastructures import Headers

from hggt_data.annotate.round import TEXTS, Round
from hggt_data.errors import RoundError
from hggt_data.io.files import read_regular_file
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.io.text import nearest
from hggt_data.schema import BLIND_QUESTION, HGGT_PROTOCOL, QUESTION, Protocol
from hggt_data.study_plan import StudyPlan

Language = Literal["en", "zh"]
_STATIC = files("hggt_data.annotate.web") / "static"


class Texts:
    """The words of one round's pages.

    Args:
        folder: The round; its own `texts.json`, in any language, replaces ours key by key.
        protocol: How the annotators are asked.
        plan: The plan of a study.
        language: Language of all pages; None for the browser's, or English if there is no translation or the round has
            its own words.
    """

    def __init__(
        self,
        folder: Path,
        protocol: Protocol = HGGT_PROTOCOL,
        language: Language | None = None,
        plan: StudyPlan | None = None,
    ) -> None:
        own = (folder / TEXTS).exists()
        languages = [language] if language else ["en"] if own else get_args(Language)
        self._by_language = {one: read_texts(folder, protocol, one, plan) for one in languages}

    def of(self, headers: Headers) -> Mapping[str, str]:
        """The words for the browser that sent these headers."""
        asked = _parse_languages(headers.get("accept-language", ""))
        fallback = next(iter(self._by_language))
        return self._by_language[next((one for one in asked if one in self._by_language), fallback)]


def texts_of_round(round_: Round, language: Language | None = None) -> Texts:
    """The words of a round's pages; see `Texts` for `language`."""
    plan = None if round_.study is None else round_.study.plan
    return Texts(round_.folder, round_.protocol, language, plan)


def read_texts(
    folder: Path, protocol: Protocol = HGGT_PROTOCOL, language: str = "en", plan: StudyPlan | None = None
) -> dict[str, str]:
    """All words of the pages in one language; the round's own `texts.json` replaces them key by key."""
    texts = _read(TEXTS, language)
    if plan is not None:
        texts |= _read("texts_blind.json", language) | _read("texts_study.json", language)
        if plan.reference == "shown":
            texts |= _read("texts_reference.json", language)
    elif protocol.blind:
        texts |= _read("texts_blind.json", language)
    elif protocol.question != QUESTION:
        texts |= _read("texts_question.json", language)
    if protocol.question not in (None, QUESTION, BLIND_QUESTION):
        texts["title"] = protocol.question
    path = folder / TEXTS
    if not path.exists():
        return texts
    try:
        own = read_value(dict[str, str], parse_json(read_regular_file(path)))
    except ValueError as error:
        raise RoundError(f"{path}: expected a JSON object of strings ({error})") from error
    for key in own:
        if key not in texts:
            raise RoundError(f"{path}: unknown key {key!r}; {nearest(key, texts)}")
    return texts | own


def _read(name: str, language: str) -> dict[str, str]:
    name = name if language == "en" else name.replace(".json", f"_{language}.json")
    texts: dict[str, str] = json.loads((_STATIC / name).read_bytes())
    return texts


def _parse_languages(header: str) -> list[str]:
    """The languages in an Accept-Language header without their regions, the most wanted first."""
    wanted = []
    for part in header.split(","):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0
        if quality > 0:
            wanted.append((-quality, tag.strip().lower().partition("-")[0]))
    return [tag for _, tag in sorted(wanted, key=lambda pair: pair[0])]
