"""What a text asks for: required objects, what was left out and why, and words without a class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..maps import palettes
from ..maps.palette_file import Palette

ABSENT = "the text says that it is absent"
DESCRIBES = "it describes what follows"


class ObjectsError(ValueError):
    """A text that names no class that can be drawn; says what to write instead."""


@dataclass(frozen=True)
class ObjectItem:
    """One required object: the words of the text that name it, its label index, and the name of that class.

    also: labels that count as this object as well ("wall" is any of the seven kinds of wall). count: how many separate
    regions are asked for. absent: it is held where the labels are missing and, if there are ``needs``, any of these is there;
    its name then says so ("no car", "bald").
    """

    phrase: str
    label: int
    name: str
    also: tuple[int, ...] = ()
    count: int = 1
    absent: bool = False
    needs: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The name with the count, if there is one: "3 dog"."""
        return f"{self.count} {self.name}" if self.count > 1 else self.name


@dataclass(frozen=True)
class ObjectQuery:
    """The required objects of a text, each label once, in the order of the text.

    unmatched: words that name no class. excluded: (phrase, why) of things that are named but not required.
    palette: whose labels these are.
    """

    items: tuple[ObjectItem, ...]
    unmatched: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    palette: Palette = palettes.COCO

    @property
    def labels(self) -> tuple[int, ...]:
        """Label index of each item, in order."""
        return tuple(item.label for item in self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Class name of each item, in order."""
        return tuple(item.name for item in self.items)

    @property
    def text(self) -> str:
        """The items as a list that ``from_list`` reads back: "dog, 3 bicycle"; counts and absences if it is told to read them."""
        return ", ".join(item.title for item in self.items)

    @property
    def not_representable(self) -> tuple[tuple[str, str], ...]:
        """What the text does ask for and no map of this palette, or of the factor, can hold: (phrase, why)."""
        return tuple((phrase, why) for phrase, why in self.excluded if why not in (ABSENT, DESCRIBES))

    @property
    def not_counted(self) -> tuple[str, ...]:
        """All that the text asks for and recall does not count: words without a class, and what cannot be drawn."""
        return tuple(dict.fromkeys((*self.unmatched, *(phrase for phrase, _ in self.not_representable))))


def restrict(query: ObjectQuery, classes: Iterable[int]) -> ObjectQuery:
    """The part of a query that a factor trained on ``classes`` can draw; ObjectsError if that is nothing.

    An item whose own label is not among them is kept under another of its labels (``also``) if possible, else
    it moves to ``excluded``. Empty ``classes`` mean that the factor does not say: nothing is moved.
    """
    known = set(classes)
    if not known:
        return query
    labels = query.palette.labels
    items: list[ObjectItem] = []
    excluded = list(query.excluded)
    for item in query.items:
        options = [label for label in (item.label, *item.also) if label in known]
        if not options:
            excluded.append((item.phrase, f"the factor was not trained to draw {item.name!r}"))
        elif options[0] not in {kept.label for kept in items}:
            name = item.name if item.absent else labels[options[0]].name
            needs = tuple(label for label in item.needs if label in known)
            items.append(replace(item, label=options[0], name=name, also=tuple(options[1:]), needs=needs))
    if not items:
        names = ", ".join(labels[c].name for c in sorted(known))
        raise ObjectsError(f"the factor can draw none of: {query.text}; write some of these instead: {names}")
    return replace(query, items=tuple(items), excluded=tuple(excluded))


def describe(query: ObjectQuery) -> str:
    """A report for people: required objects, excluded ones with the reason, and words without a class."""
    lines = []
    for item in query.items:
        name = item.name if item.phrase == item.name else f"{item.name} (from {item.phrase!r})"
        if item.count > 1:
            name += f", at least {item.count} regions"
        if item.absent and item.needs:
            there = " or ".join(query.palette.labels[label].name for label in item.needs)
            gone = " and ".join(query.palette.labels[label].name for label in (item.label, *item.also))
            name += f": {there} without {gone}"
        lines.append(f"required: {name}")
    lines += [f"not required: {phrase}: {why}" for phrase, why in query.excluded]
    if query.unmatched:
        lines.append("no class for: " + ", ".join(query.unmatched))
    return "\n".join(lines)


def summary(query: ObjectQuery, words: int = 12) -> str:
    """One line for nodes and charts: how many objects are counted and which words are not; at most ``words`` of these.

    "3 objects: dog, bicycle, tree; not counted: unicorn, hat"
    """
    count = len(query.items)
    line = f"{count} object{'s' if count != 1 else ''}: {query.text}"
    left = not_counted(query, words)
    return f"{line}; {left}" if left else line


def not_counted(query: ObjectQuery, words: int = 12) -> str:
    """The part of ``summary`` about what recall leaves out, "not counted: unicorn, hat"; empty if that is nothing."""
    left = query.not_counted
    if not left:
        return ""
    more = f" and {len(left) - words} more" if len(left) > words else ""
    return "not counted: " + ", ".join(left[:words]) + more


def nothing_found(text: str, query: ObjectQuery) -> str:
    """What to tell who wrote a text whose query has no items: what was denied or cannot be drawn, and what to write."""
    palette = query.palette
    names = [label.name for label in palette.labels if label.index not in (*palette.retired, palette.void)]
    usual = ["dog", "bicycle", "tree"]
    example = ", ".join(usual if set(usual) <= set(names) else names[:3])
    shown = text.strip()
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    told = "".join(f"; {phrase}: {why}" for phrase, why in query.excluded[:3])
    if not shown:
        return f"the text is empty: write the objects to look for, for example: {example}"
    return f"no object found in {shown!r}{told}; write classes of {palette.name!r} instead, for example: {example}"
