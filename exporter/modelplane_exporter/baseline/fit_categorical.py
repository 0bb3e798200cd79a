"""Fitting one categorical signal in two passes over its counts: candidates, then their exact counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from modelplane_exporter.baseline.model import MAX_CATEGORIES, BaselineError, CategoricalSignal
from modelplane_exporter.baseline.texts import category_key
from modelplane_exporter.baseline.values import digest
from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN

Counts = Mapping[str | None, int]

# Distinct values that are counted at once. They take up to 300 bytes each.
MAX_COUNTED = 1 << 15


class CategoricalFit:
    """The fit of one signal: ``survey`` all counts, ``settle``, ``count`` them all again, take ``signal``.

    Counts map a category to its number, None to that of missing values. Up to ``MAX_COUNTED`` distinct
    values are counted exactly. Of more, those that a Misra-Gries summary keeps are: every value with a share
    above 1 / ``MAX_COUNTED`` is among them. Spellings of one value (see ``category_key``) are one category,
    which shows as the first of them. A ``salt`` hashes the categories.
    """

    def __init__(self, kind: str, name: str, salt: str) -> None:
        self._kind, self._name, self._salt = kind, name, salt
        self._surveyed = self._values = self._observations = self._missing = 0
        self._candidates: Counter[str] = Counter()
        self._spellings: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def survey(self, counts: Counts) -> None:
        """Take counts in the first pass."""
        self._surveyed += sum(counts.values())
        for text, count in counts.items():
            self._values += 0 if text in (None, MISSING_BIN) else count
            if text is not None and text not in (OTHER_BIN, MISSING_BIN):
                key = category_key(text)
                if key != text and key not in self._candidates and not self._salt:
                    self._spellings[key] = text
                self._candidates[key] += count
        if len(self._candidates) > MAX_COUNTED:
            # Agarwal et al., Mergeable summaries (2012): take the next largest count off all.
            surplus = sorted(self._candidates.values(), reverse=True)[MAX_COUNTED]
            self._candidates = Counter(
                {text: count - surplus for text, count in self._candidates.items() if count > surplus}
            )
            self._spellings = {key: text for key, text in self._spellings.items() if key in self._candidates}

    @property
    def is_empty(self) -> bool:
        """Whether there was no value in the first pass."""
        return not self._values

    def settle(self) -> None:
        """Decide which values to count, after the first pass."""
        self._counts = dict.fromkeys(self._candidates, 0)
        del self._candidates

    def count(self, counts: Counts) -> None:
        """Take counts in the second pass."""
        for text, count in counts.items():
            self._observations += count
            if text is None or text == MISSING_BIN:
                self._missing += count
            elif (key := category_key(text)) in self._counts:
                self._counts[key] += count

    def signal(self) -> CategoricalSignal:
        """The signal, after the second pass."""
        if self._observations != self._surveyed or not all(self._counts.values()):
            raise BaselineError(f"{self._kind} {self._name!r}: the data changed while it was read")
        most = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_CATEGORIES]
        counts = [count for _, count in most]
        other = self._observations - self._missing - sum(counts)
        return CategoricalSignal(
            kind=self._kind,
            name=self._name,
            categories=tuple(self._shown(key) for key, _ in most),
            ratios=tuple(count / self._observations for count in (*counts, other, self._missing)),
            observations=self._observations,
            hashed=bool(self._salt),
        )

    def _shown(self, key: str) -> str:
        return digest(key, self._salt) if self._salt else self._spellings.get(key, key)
