"""The grammar of instructions: how a text falls into sentences, which sentences there are, and what numbers and sizes mean.

See ``instructions`` for what can be said.
"""

from __future__ import annotations

import re

STEP = 0.15
"""How far things move without a word of how far, as a share of the map's side."""
AMOUNTS = {
    "a little bit": 0.05, "a bit": 0.05, "a little": 0.05, "slightly": 0.05, "somewhat": 0.1, "a lot": 0.3, "far": 0.3, "much": 0.3,
}  # fmt: skip
_NUMBERS = {
    "half": 0.5, "a half": 0.5, "one": 1.0, "once": 1.0, "two": 2.0, "twice": 2.0, "double": 2.0, "three": 3.0, "thrice": 3.0,
    "triple": 3.0, "four": 4.0, "five": 5.0, "ten": 10.0, "a quarter": 0.25, "a third": 1 / 3, "one and a half": 1.5,
}  # fmt: skip
NUM = r"(?:\d+(?:\.\d+)?|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_SOFT = "|".join(sorted(AMOUNTS, key=len, reverse=True))
_HOW_FAR = rf"(?:by )?(?P<far{{0}}>(?:{_SOFT})|{NUM} (?:pixels?|px|percent)(?: of the (?:map|picture|image))?)"
DIRECTIONS = {
    "up": (0, -1), "upward": (0, -1), "upwards": (0, -1), "higher": (0, -1), "down": (0, 1), "downward": (0, 1),
    "downwards": (0, 1), "lower": (0, 1), "left": (-1, 0), "leftward": (-1, 0), "leftwards": (-1, 0), "right": (1, 0),
    "rightward": (1, 0), "rightwards": (1, 0),
}  # fmt: skip
_DIRECTION = rf"(?:to the |towards the |further )?(?P<way>{'|'.join(sorted(DIRECTIONS, key=len, reverse=True))})"
SIDES = {
    "to the left of": "left", "left of": "left", "to the right of": "right", "right of": "right", "above": "above", "over": "above",
    "on top of": "above", "below": "below", "underneath": "below", "beneath": "below", "under": "below", "next to": "beside",
    "beside": "beside", "near": "beside", "onto": "on", "on": "on",
}  # fmt: skip
_SIDE = "(?P<side>" + "|".join(sorted(SIDES, key=len, reverse=True)) + ")"
_SPOT = (
    r"(?:in|into|to|at|on) (?:the )?(?:(?P<mid>middle|cent(?:er|re))(?: of the (?:map|picture|image))?"
    r"|(?P<v>top|upper|bottom|lower)?[ -]?(?P<h>left|right)? ?(?:corner|edge|side|border)(?: of the (?:map|picture|image))?"
    r"|(?P<v2>top|bottom)[ -]?(?P<h2>left|right)?)"
)
_LARGER = {
    "larger": (1, 1), "bigger": (1, 1), "taller": (0, 1), "higher": (0, 1), "longer": (1, 0), "wider": (1, 0), "smaller": (-1, -1),
    "shorter": (0, -1), "narrower": (-1, 0), "thinner": (-1, 0), "tinier": (-1, -1),
}  # fmt: skip
_AS = {
    "large": (1, 1),
    "big": (1, 1),
    "tall": (0, 1),
    "high": (0, 1),
    "long": (1, 0),
    "wide": (1, 0),
    "small": (-1, -1),
}
_VERBS = (
    "remove|delete|erase|drop|take|get|move|put|place|shift|push|slide|drag|raise|lower|swap|exchange|switch|make|scale|resize|double|"
    "triple|halve|enlarge|shrink|grow|flip|mirror|rotate|turn|change|convert|transform|replace|bring|send|copy|duplicate|clone|add|"
    "centre|center|set|recolour|recolor"
)
SAY = (
    "remove X; move X up by 10 %; put X left of Y; swap X and Y; make X twice as large; flip X; rotate X by 45 degrees; change X into "
    "C; replace the background with C; bring X in front of Y; copy X right"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, in lower case, each with one verb."""
    text = text.lower().replace("\u2019", "'").replace("%", " percent ")
    text = re.sub(r"\b(?:please|now|also|just|and then)\b", " ", text)
    parts = re.split(r"[;!?\n]+|\.(?=\s|$)|\bthen\b", text)
    parts = [one for part in parts for one in re.split(rf",?\s+and\s+(?={_VERBS}\b)|,\s*(?=(?:{_VERBS})\b)", part)]
    return [one for part in parts if (one := re.sub(r"\s+", " ", part).strip(" ,."))]


_X, _Y, _C = "(?P<x>.+?)", "(?P<y>.+?)", "(?P<c>.+?)"
_PUT = "(?:move|put|place|shift|set|bring|drag)"
RULES = (  # (name of the rule, pattern of the whole sentence), the first that fits and whose words are known is taken

    ("background", rf"(?:replace|change|turn|set|make|swap) the background (?:with|by|to|into|for|be|)(?: ?an? | ?the | ?some | ){_C}"),
    ("background", rf"(?:replace|change|turn|set|make|swap) the background (?:with|by|to|into) {_C}"),
    ("order", rf"(?:bring|send|put|move|place|set) {_X} (?P<order>in front of|before|behind|in back of) {_Y}"),
    ("to_end", rf"(?:bring|send|put|move) {_X} (?:to|into) (?:the )?(?P<to>front|back|foreground|background)"),
    ("to_end", rf"(?:bring|send|move) {_X} (?P<to>forward|backward|forwards|backwards)"),
    ("swap", rf"(?:swap|exchange|switch)(?: the)?(?: places| positions)?(?: of)? {_X} (?:and|with|for) {_Y}"),
    ("swap_two", rf"(?:swap|exchange|switch) {_X}"),
    ("remove", rf"(?:remove|delete|erase|drop|take away|get rid of) {_X}"),
    ("beside", rf"{_PUT} {_X} {_SIDE} {_Y}"),
    ("spot", rf"{_PUT} {_X} {_SPOT}"),
    ("centre", rf"cent(?:re|er) {_X}"),
    ("move", rf"(?:move|shift|push|slide|drag|put) {_X}(?: {_HOW_FAR.format(1)})? {_DIRECTION}(?: {_HOW_FAR.format(2)})?"),
    ("move", rf"(?P<verb>raise|lower) {_X}(?: {_HOW_FAR.format(1)})?"),
    ("copy", rf"(?:copy|duplicate|clone) {_X} {_SIDE} {_Y}"),
    ("copy", rf"add another {_X} {_SIDE} {_Y}"),
    ("copy", rf"(?:copy|duplicate|clone|add another) {_X}(?: {_DIRECTION})?"),
    ("size", rf"(?:make|scale|resize) {_X} (?P<n>{NUM})(?P<times> times| percent)? as (?P<as>{'|'.join(_AS)})(?: as it is| again)?"),
    ("size", rf"(?:make|scale|resize) {_X} (?P<n>{NUM})(?P<times> times| percent)? (?:of )?its size"),
    ("size", rf"(?:make|scale|resize) {_X} (?:by )?(?P<n>{NUM})(?P<times> times| percent) (?P<er>{'|'.join(_LARGER)})"),
    ("size", rf"make {_X} (?:(?P<soft>{_SOFT}) )?(?P<er>{'|'.join(_LARGER)})"),
    ("size", rf"(?P<verb>double|triple|halve)(?: the size of)? {_X}(?: in size)?"),
    ("size", rf"(?P<verb>enlarge|grow|shrink|scale|resize) {_X}(?: (?:by|to)(?: a factor of)? (?P<n>{NUM})(?P<times> times| percent)?)?"),
    ("flip", rf"(?:flip|mirror)(?: (?P<how1>horizontally|vertically|upside down))? {_X}(?: (?P<how2>horizontally|vertically|upside down|left to right|top to bottom))?"),
    ("rotate", rf"(?:turn|flip|rotate) {_X} (?P<upside>upside down)"),
    ("flip", rf"turn {_X} (?:a)?round"),
    ("rotate", rf"(?:rotate|turn) {_X}(?: by)? (?P<degrees>\d+(?:\.\d+)?)(?: degrees|\u00b0)?(?: (?P<sense>clockwise|counter-?clockwise|anti-?clockwise|(?:to the )?left|(?:to the )?right))?"),
    ("rotate", rf"rotate {_X}(?P<degrees>)(?: (?P<sense>clockwise|counter-?clockwise|anti-?clockwise|(?:to the )?left|(?:to the )?right))?"),
    ("reclass", rf"(?:change|turn|convert|transform|replace|swap|recolou?r) {_X} (?:in)?to {_C}"),
    ("reclass", rf"(?:replace|swap|exchange|change|recolou?r) {_X} (?:with|by|as|for) {_C}"),
    ("reclass", rf"make {_X} an? {_C}"),
)  # fmt: skip


def number(word: str) -> float:
    """The number that digits or words of ``NUM`` say."""
    return _NUMBERS[word] if word in _NUMBERS else float(word)


def growth(groups: dict) -> tuple[float, float]:
    """Factors in x and y of what a sentence says about a size."""
    many = None if groups.get("n") is None else number(groups["n"])
    percent = (groups.get("times") or "").strip() == "percent"
    verb = groups.get("verb")
    if er := groups.get("er"):
        x, y = _LARGER[er]
        if many is None:
            factor = {0.05: 1.2, 0.1: 1.3, 0.3: 2.0}.get(AMOUNTS.get(groups.get("soft") or "", 0.0), 1.5)
        elif percent:
            factor = 1 + many / 100 if max(x, y) > 0 else 1 / max(0.01, 1 - many / 100)
        else:
            factor = many
    elif word := groups.get("as"):
        x, y = _AS[word]
        factor = (many or 1.0) / (100 if percent else 1)
    else:
        x = y = -1 if verb == "shrink" else 1
        factor = {"double": 2.0, "triple": 3.0, "halve": 0.5, "enlarge": 1.5, "grow": 1.5, "shrink": 1.5}.get(
            verb or "", 1.0
        )
        if many is not None and verb in ("enlarge", "grow"):
            factor = 1 + many / 100 if percent else max(many, 1.0 + many * (many < 1))
        elif many is not None and verb == "shrink":
            factor = 1 / max(0.01, 1 - many / 100) if percent else (many if many > 1 else 1 / (1 - many or 1))
        elif many is not None:
            factor = many / 100 if percent else many
    factor = min(max(factor, 0.01), 100.0)
    return factor**x, factor**y
