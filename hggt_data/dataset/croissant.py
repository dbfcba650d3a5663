"""`croissant.json`: a dataset described in Croissant 1.0, with its vocabulary for responsible AI (RAI 1.0).

It says no more about annotators than the label tables and the card. Creators, URL and date of publication, which hggt
does not know, may be added to the file. Formats: https://docs.mlcommons.org/croissant/docs/croissant-spec.html and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hggt_data.dataset.card import (
    RULES,
    TAGS,
    TITLE,
    column_texts,
    describe_protocol,
    find_citation,
    has_labels,
    introduce,
    is_counted,
)
from hggt_data.dataset.features import SOURCE_COLUMNS, group_from_row
from hggt_data.dataset.manifest import PARQUET_PATH, Manifest
from hggt_data.dataset.overlap import describe_overlap
from hggt_data.dataset.vote_columns import VOTE_COLUMNS
from hggt_data.io.files import sha256_of
from hggt_data.io.text import plural
from hggt_data.licence import HGGT_LICENSE_NAME, card_license, is_restricted, terms_of
from hggt_data.schema import SPLITS, label_from_class_id
from hggt_data.statistics.agreement import VoteTable, krippendorff_alpha
from hggt_data.statistics.pair_votes import PairStatistics, PairTally

if TYPE_CHECKING:
    from datasets import Features

_PARQUET = "application/x-parquet"
# The names of Croissant 1.0, as its specification gives them.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    name: f"cr:{name}"
    for name in """
        citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset
        jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source
        subField transform
    """.split()  # noqa: SIM905
}
_TYPES = {
    "bool": "sc:Boolean",
    "float32": "sc:Float",
    "float64": "sc:Float",
    "int32": "sc:Integer",
    "string": "sc:Text",
}


def format_croissant(
    manifest: Manifest, tables: Mapping[str, pa.Table], *, features: "Features", label_features: "Features"
) -> str:
    """The text of the file.

    `manifest` lists shards and label tables; `tables` are each split's rows without pictures; `features` and
    `label_features` are those of the configs `default` and `labels`.
    """
    settings = manifest.settings
    citation = find_citation(settings["citation"], manifest.layout)
    texts, labelled = column_texts(features, settings["pseudonymous"]), has_labels(tables)
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": TITLE,
        "description": f"{introduce(labelled)} Made with hggt.",
        "license": _license(manifest.license),
        **({"citeAs": citation.strip()} if citation else {}),
        "version": _version(manifest),
        "keywords": [*TAGS, "hggt"],
        **_responsible_ai(manifest, _gather(manifest, tables), labelled),
        "distribution": list(_distribution(manifest)),
        "recordSet": [
            _splits(manifest),
            _record_set("default", "data", features, texts, "Patch groups with their pictures."),
            _record_set("labels", "labels", label_features, texts, "The same patch groups without pictures."),
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _license(license_id: str) -> str:
    if is_restricted(license_id):
        return terms_of(license_id)
    known, name = card_license(license_id)
    return name or known


def _version(manifest: Manifest) -> str:
    """The version of the schema, and which content it is."""
    content = sha256_of("".join(file.sha256 for file in manifest.contents()).encode())
    return f"{manifest.schema_version}.0.0+{content[:12]}"


def _distribution(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Every Parquet file and the plan of a study with their hashes, and the set of files of each config."""
    for file in manifest.contents():
        yield {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size_bytes} B",
            "encodingFormat": _PARQUET if PARQUET_PATH.fullmatch(file.path) else "application/json",
            "sha256": file.sha256,
        }
    for folder in ("data", "labels"):
        yield {
            "@type": "cr:FileSet",
            "@id": f"{folder}-files",
            "name": f"{folder}-files",
            "encodingFormat": _PARQUET,
            "includes": f"{folder}/*.parquet",
        }


def _splits(manifest: Manifest) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [{"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{"splits/name": split} for split in manifest.splits],
    }


def _record_set(
    config: str, folder: str, features: "Features", texts: Mapping[str, str], description: str
) -> dict[str, Any]:
    """A config of the dataset; its rows are the records, its columns and the split the fields."""
    split = {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "name": "split",
        "description": "which part of the data the group belongs to",
        "dataType": "sc:Text",
        "references": {"field": {"@id": "splits/name"}},
        "source": {
            "fileSet": {"@id": f"{folder}-files"},
            "extract": {"fileProperty": "fullpath"},
            # Some readers apply it twice, so it also matches its own result.
            "transform": {"regex": f"(?:.*/)?({'|'.join(SPLITS)})(?:[.-].*)?"},
        },
    }
    columns = [
        _field(f"{config}/{column}", kind, folder, column) | {"description": texts[column]}
        for column, kind in features.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": description,
        "field": [split, *columns],
    }


def _field(identity: str, kind: Any, folder: str, column: str, json_path: str | None = None) -> dict[str, Any]:
    """A column, or with `json_path` a part of each entry in it, of a type of `datasets`."""
    from datasets import ClassLabel, Image, List

    found: dict[str, Any] = {"@type": "cr:Field", "@id": identity, "name": identity.rpartition("/")[2]}
    if isinstance(kind, List):
        found["repeated"] = True
        kind = kind.feature
    if isinstance(kind, dict):
        parts = [_field(f"{identity}/{name}", part, folder, column, name) for name, part in kind.items()]
        return found | {"subField": parts}
    if isinstance(kind, Image):
        found["dataType"], json_path = "sc:ImageObject", "bytes"
    else:
        found["dataType"] = "sc:Integer" if isinstance(kind, ClassLabel) else _TYPES[kind.dtype]
    if isinstance(kind, ClassLabel):
        found["description"] = ", ".join(f"{number} {name}" for number, name in enumerate(kind.names))
    source: dict[str, Any] = {"fileSet": {"@id": f"{folder}-files"}, "extract": {"column": column}}
    return found | {"source": source | ({"transform": {"jsonPath": json_path}} if json_path else {})}


@dataclass
class _Facts:
    """What the tables tell about votes. A vote record is an entry of `annotations`, `pairs`, `choices` or `scores`.

    Attributes:
        num_records: vote records.
        num_by_people: those by people.
        num_attributed: those by people whose annotator is known.
        annotators: names or pseudonyms of these.
        models: names of models that voted.
        has_times: whether any person's start or end is known.
        has_seconds: whether it is known how long any person took.
        num_votes: how many of people's votes count, by column.
        label_votes: numbers of label votes that candidates have.
        alpha: of each split, Krippendorff's alpha, nominal and ordinal; NaN if undefined.
        pairs: of each split, statistics of the votes on pairs.
    """

    num_records: int = 0
    num_by_people: int = 0
    num_attributed: int = 0
    annotators: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    has_times: bool = False
    has_seconds: bool = False
    num_votes: Counter[str] = field(default_factory=Counter)
    label_votes: set[int] = field(default_factory=set)
    alpha: dict[str, tuple[float, float]] = field(default_factory=dict)
    pairs: dict[str, tuple[PairStatistics, ...]] = field(default_factory=dict)

    def add(self, column: str, vote: Mapping[str, Any]) -> None:
        """Count a vote record."""
        self.num_records += 1
        if vote["annotator_kind"] == "model":
            self.models.add(vote["annotator"] or "not named")
            return
        self.num_by_people += 1
        if vote["annotator"] is not None:
            self.num_attributed += 1
            self.annotators.add(vote["annotator"])
        self.has_times |= bool(vote["start"] or vote["end"])
        self.has_seconds |= vote["seconds"] is not None
        if is_counted(vote):
            self.num_votes[column] += vote.get("count", 1)


def _gather(manifest: Manifest, tables: Mapping[str, pa.Table]) -> _Facts:
    facts, candidates = _Facts(), tuple(manifest.candidates)
    for split, table in tables.items():
        labels, pairs = VoteTable(), PairTally(candidates)
        for row in (row for batch in table.to_batches(max_chunksize=1000) for row in batch.to_pylist()):
            for column in ("annotations", *VOTE_COLUMNS):
                for vote in row.get(column, ()):
                    facts.add(column, vote)
            facts.label_votes.update(row["num_votes"])
            given = {one["slot"]: one["labels"] for one in row["annotations"] if is_counted(one)}
            labels.add(len(candidates), {slot: [*map(label_from_class_id, ids)] for slot, ids in given.items()})
            if row.get("pairs"):
                pairs.add(group_from_row(row, candidates))
        votes = labels.votes()
        facts.alpha[split] = krippendorff_alpha(votes), krippendorff_alpha(votes, "ordinal")
        facts.pairs[split] = pairs.result()
    return facts


def _responsible_ai(manifest: Manifest, facts: _Facts, labelled: bool) -> dict[str, Any]:
    """The fields of RAI 1.0 of which something is known."""
    sources = [column for column in SOURCE_COLUMNS if column in manifest.settings["sources"]]
    known: dict[str, Any] = {
        "dataCollection": f"The pictures and the votes on them were read from data in the layout {manifest.layout}.",
        "dataCollectionRawData": sources
        and f"Known about the source pictures, in columns of these names: {', '.join(sources)}.",
        "dataPreprocessingProtocol": ["The PNG files are unchanged.", *_dropped(manifest)],
        "dataAnnotationProtocol": " ".join([*_questions(manifest), *_annotators(facts)]),
        "annotationsPerItem": "; ".join(_votes_per_item(facts, sum(manifest.splits.values()))),
        "dataAnnotationAnalysis": [
            *(
                [f"The consensus is {RULES[manifest.consensus_rule]}. All votes are in the dataset."]
                if labelled
                else []
            ),
            *_agreement(facts),
        ],
        "machineAnnotationTools": sorted(facts.models),
        "personalSensitiveInformation": list(_personal(facts, manifest)),
        "dataUseCases": ["Training and testing of image super-resolution and of measures of image quality."],
        "dataLimitations": list(_limitations(manifest, labelled)),
    }
    return {f"rai:{name}": value for name, value in known.items() if value}


def _dropped(manifest: Manifest) -> Iterator[str]:
    dropped = sum(len(shard.dropped) for shard in manifest.shards)
    if dropped:
        yield f"Groups left out because of errors: {dropped:,}."


def _questions(manifest: Manifest) -> Iterator[str]:
    """How annotators were asked, for each split if that differs."""
    texts = {split: describe_protocol(manifest.protocol(split), lambda text: f'"{text}"') for split in manifest.splits}
    if len(set(texts.values())) == 1:
        yield from set(texts.values())
    else:
        yield from (f"Split {split}: {text}" for split, text in texts.items())


def _annotators(facts: _Facts) -> Iterator[str]:
    """How many people and models voted, as far as that is known."""
    yield f"Vote records: {facts.num_records:,}."
    if facts.num_attributed:
        yield f"Attributed to {plural(len(facts.annotators), 'annotator')}: {facts.num_attributed:,}."
    if unknown := facts.num_by_people - facts.num_attributed:
        yield (
            f"By people who are not known: {unknown:,}; a slot is a place in the source, which several people may have "
            "filled."
        )
    if by_models := facts.num_records - facts.num_by_people:
        yield f"By models: {by_models:,}; they never count as votes of people."


def _votes_per_item(facts: _Facts, num_groups: int) -> Iterator[str]:
    if numbers := sorted(facts.label_votes - {0}):
        span = " to ".join(dict.fromkeys(map(str, (numbers[0], numbers[-1]))))
        yield f"{span} label votes of people on each candidate that has any"
    for column, what in (("pairs", "votes on pairs"), ("choices", "choices"), ("scores", "opinion scores")):
        if total := facts.num_votes[column]:
            yield f"{total / num_groups:,.1f} {what} of people per group on average"


def _agreement(facts: _Facts) -> Iterator[str]:
    for split, (nominal, ordinal) in facts.alpha.items():
        if not isnan(nominal):
            yield (
                f"Split {split}: Krippendorff's alpha of the label votes is {nominal:.3f} (nominal), {ordinal:.3f} "
                "(ordinal)."
            )
    for split, pairs in facts.pairs.items():
        for found in (found for found in pairs if not isnan(found.agreement)):
            about = f' under the question "{found.question}"' if found.question else ""
            yield (
                f"Split {split}: two votes on a pair{about} agree with probability {found.agreement:.3f}, by chance "
                f"with {found.chance:.3f}."
            )


def _personal(facts: _Facts, manifest: Manifest) -> Iterator[str]:
    """What the dataset has about annotators and authors."""
    pseudonymous = manifest.settings["pseudonymous"]
    if facts.annotators:
        yield f"{'Pseudonyms' if pseudonymous else 'Names or pseudonyms'} of annotators."
    if facts.has_times:
        yield (
            "When annotators worked, counted from the first start of each."
            if pseudonymous
            else "The local dates and times at which annotators worked."
        )
    if facts.has_seconds:
        yield "How many seconds annotators took."
    if "author" in manifest.settings["sources"]:
        yield "Authors of the source pictures."
    yield "Whether the pictures show people was not examined."


def _limitations(manifest: Manifest, labelled: bool) -> Iterator[str]:
    if labelled:
        yield (
            "A label compares a candidate with its own original. It is no measure of absolute quality, and it holds "
            "for these enhancers and annotators."
        )
    yield from (f"{text[0].upper()}{text[1:]}." for text in describe_overlap(manifest.overlap, manifest.splits))
    if manifest.license == HGGT_LICENSE_NAME:
        yield "Only for non-commercial academic research."
