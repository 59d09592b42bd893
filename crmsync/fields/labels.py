"""Options and their labels: a choice is sent as its English label, a multi-select as its labels joined with ``;``.

An option without a label goes by its number. Multi-selects come as ``"1,9"`` ("Multi-select choice columns", Power
Apps developer documents).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from crmsync.dynamics.schema import Attribute
from crmsync.fields.values import Unfit, clean

SEPARATOR = ";"
_YES_AND_NO = {1: "Yes", 0: "No"}


def label_texts(attribute: Attribute) -> dict[int, str]:
    """Every option's text by its value. True and False look up 1 and 0."""
    options = attribute.options or (_YES_AND_NO if attribute.type == "BooleanType" else {})
    return {value: clean(label) or str(value) for value, label in options.items()}


class Labels(dict[int, str]):
    """Texts by option value; an option that has none goes by its number, and ``unknown`` is told."""

    def __init__(
        self, texts: dict[int, str], shorten: Callable[[str], str], unknown: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__((value, shorten(text)) for value, text in texts.items())
        self._unknown = unknown

    def __missing__(self, value: int) -> str:
        self._unknown(value)
        return str(int(value))


def joined(texts: Labels, shorten: Callable[[str], str], values: str) -> str | None:
    """The labels of ``"1,9"``; None when nothing is chosen."""
    numbers = [int(value) for value in values.split(",") if value.strip()]
    return shorten(SEPARATOR.join(texts[number] for number in numbers)) or None


class Values:
    """The way back: option values by text. What could mean two options, or none, is refused."""

    def __init__(self, attribute: Attribute) -> None:
        texts = label_texts(attribute)
        self._column = attribute.logical_name
        self._values = {text: value for value, text in texts.items()}
        self._ambiguous = {text for text, count in Counter(texts.values()).items() if count > 1}
        self._parted = [text for text in texts.values() if SEPARATOR in text]
        self._known = frozenset(texts)

    def one(self, text: str) -> int:
        if text in self._ambiguous:
            raise Unfit(f"several options are called '{text}'", "Give the options different labels in Dynamics.")
        value = self._values.get(text)
        if value is not None:
            return value
        if text.isdecimal() and int(text) not in self._known:
            return int(text)
        raise Unfit(
            f"there is no option '{text}'",
            "Add the option in Dynamics, or correct the value in Marketo; crmsync makes no new options.",
            unexplained=True,
        )

    def joined(self, text: str) -> str:
        """Labels as ``"1,9"``, in the order of the text."""
        for label in self._parted:
            if label in text:
                raise Unfit(
                    f"the label '{label}' holds the separator '{SEPARATOR}'",
                    f"Take the '{SEPARATOR}' out of the label in Dynamics.",
                )
        return ",".join(str(self.one(part)) for part in text.split(SEPARATOR))
