"""The numbers of a text in one written form: digits, English number words, Chinese numerals, clock times and units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Number(NamedTuple):
    """One number: its value in a canonical form, its unit ("" when none is known) and as it was written."""

    value: str
    unit: str
    written: str
    firm: bool = True
    """False where the reading is uncertain (the word "one", "half", a Chinese numeral without a measure word)."""


_UNITS = {
    "%": "% percent pct percentage per-cent",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "m": "m meter meters metre metres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "mile": "mile miles mi",
    "foot": "ft foot feet",
    "inch": "inch inches",
    "yard": "yd yard yards",
    "kg": "kg kgs kilogram kilograms kilo kilos",
    "g": "g gram grams gramme grammes",
    "mg": "mg milligram milligrams",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "liter": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "gallon": "gal gallon gallons",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks wk wks",
    "month": "month months",
    "year": "year years yr yrs",
    "ms": "ms millisecond milliseconds",
    "kb": "kb kilobyte kilobytes",
    "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes",
    "tb": "tb terabyte terabytes",
    "hz": "hz hertz",
    "khz": "khz kilohertz",
    "mhz": "mhz megahertz",
    "ghz": "ghz gigahertz",
    "c": "°c celsius",
    "f": "°f fahrenheit",
    "degree": "° degree degrees",
    "$": "$ dollar dollars usd buck bucks",
    "€": "€ euro euros eur",
    "£": "£ gbp quid",
    "¥": "¥ yen yuan rmb cny jpy",
    "₹": "₹ rupee rupees inr",
    "cent": "cent cents ¢",
    "word": "word words",
    "sentence": "sentence sentences",
    "paragraph": "paragraph paragraphs",
    "page": "page pages",
    "line": "line lines",
}
_UNIT = {form: unit for unit, forms in _UNITS.items() for form in forms.split()}
_MAGNITUDE = {"hundred": 2, "thousand": 3, "k": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12,
              "十": 1, "百": 2, "千": 3, "万": 4, "亿": 8}  # fmt: skip
_ZH_UNIT_NAMES = (
    "%:% 公里:km 千米:km 米:m 厘米:cm 公斤:kg 千克:kg 克:g 秒:second 分钟:minute 小时:hour 天:day 周:week 月:month "
    "年:year 美元:$ 欧元:€ 元:¥ 块:¥ 字:word 句:sentence 段:paragraph 页:page 行:line 度:degree"
)
_ZH_UNIT: dict[str, str] = {form: unit for form, _, unit in (pair.partition(":") for pair in _ZH_UNIT_NAMES.split())}

# The pattern starts with a bare digit, so that the search skips everything else at full speed; what stands before the
# digit is looked at afterwards.
_DIGITS = re.compile(
    r"\d(?:(?<!,\d)\d{0,2}(?:,\d{3})++(?!\d)(?:\.\d++)?|\d*+(?:\.\d++)*)(?:[eE][+-]?\d++)?"
    r"(?P<tail> ?[%°][CcFf]?|[- ]?[A-Za-z]++"
    r"|[ ]?(?:[十百千万亿]|公里|千米|厘米|公斤|千克|分钟|小时|美元|欧元|[米克秒天周月年元块字句段页行度]))?"
)
_CURRENCY = frozenset("$€£¥₹")
_BEFORE_MINUS = frozenset(" \t\n(=<>*/+,[:")
_SECOND_TAIL = re.compile(r" ?(%|[A-Za-z]++|美元|欧元|公里|[元字米])")
_CLOCK = re.compile(r"(?<![\d:.,])(\d{1,2})(?::([0-5]\d)(?::[0-5]\d)?)?(?: ?([ap])\.?m\b\.?)?(?![\d:])", re.I)
_DATE = re.compile(r"\d(?:\d{0,3}[-/.]\d{1,2}[-/.]\d{1,4}(?![\d-])|年\d{1,2}月)")
MONTHS = {name: str(number) for number, names in enumerate(
    ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
     "september sep sept", "october oct", "november nov", "december dec"), 1) for name in names.split()}  # fmt: skip

_ONES_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ONES = {word: value for value, word in enumerate(_ONES_NAMES.split())}
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_TENS_NAMES.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINAL_NAMES = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_NAMES.split(), 3)}
_LOOSE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("one", "single", "once", "first"), ("1",)),
    **dict.fromkeys(("second", "both", "couple", "pair", "twice", "double"), ("2",)),
    **dict.fromkeys(("triple", "thrice"), ("3",)),
    "half": ("0.5", "1", "2", "50"),
    "quarter": ("0.25", "1", "4", "25"),
    "minus": (),
}
NUMBER_WORDS = frozenset(_ONES) | frozenset(_TENS) | frozenset(_SCALES) | frozenset(_ORDINALS) | {"dozen"}
"""The words that count as numbers, not as content words."""
_WORDED = re.compile(r"[A-Za-z]+|[^\sA-Za-z-]")

_ZH_DIGIT = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ZH_SCALE = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
CHINESE_NUMERAL = re.compile(
    r"(?P<percent>百分之)?(?P<ordinal>第)?(?P<numeral>[零〇一二两三四五六七八九十百千万亿]++)"
    r"(?P<measure>个|位|名|条|项|种|篇|段|句|字|岁|年|月|日|天|周|小时|分钟|秒|元|块|次|章|节|页|本|张|部|首|道|步|倍|米|克|公|斤|度|层|号|"
    r"世纪|美元|只|行|组|点|方面|类|件|台|人|轮|份|句话)?"
)


def numbers(text: str) -> list[Number]:
    """Return the numbers of a normalised text, times first, the rest in the order of its kind; linear in the text."""
    found: list[Number] = []
    if _ANY_DIGIT.search(text):
        text = _unnumbered(text)
        if ":" in text or _MERIDIAN.search(text):
            times, text = _times(text)
            found += times
        if _DATE.search(text):
            found.append(Number("date", "", "", firm=False))
        found += _written_in_digits(text)
    if not text.isascii() and _ZH_ANY.search(text):
        found += _chinese(text)
    lowered = text.lower()
    if not _SPOKEN.isdisjoint(_LETTERS.findall(lowered)):
        found += _worded(_WORDED.findall(lowered))
    return found


_ANY_DIGIT = re.compile(r"\d")
_MERIDIAN = re.compile(r"\d ?[ap]\.?m\b", re.I)
_ZH_ANY = re.compile("[零〇一二两三四五六七八九十百千万亿]")
_LETTERS = re.compile(r"[a-z]+")
_SPOKEN = NUMBER_WORDS | _LOOSE.keys() | MONTHS.keys()


_ITEM = re.compile(
    r"(?:^|(?<=\n))[ \t>*#-]{0,12}\(?(?:(?:step|part|section|point) )?\d{1,2}[.):、](?=\s*[^\s\d])"
    r"|(?<=[.;:。；：!?] )\(?(\d{1,2})[.)](?= [A-Z*])",
    re.I,
)
_MARKED = re.compile(r"\d[.):、]\D")


def _unnumbered(text: str) -> str:
    """Blank the numbers of list items: at the start of a line, and within one where they count up from 1."""
    counted = 0

    def take(match: re.Match[str]) -> str:
        nonlocal counted
        if match[1]:
            if int(match[1]) != counted + 1:
                return match.group()
            counted += 1
        return " "

    if not _MARKED.search(text):
        return text
    return _ITEM.sub(take, text)


def _times(text: str) -> tuple[list[Number], str]:
    found: list[Number] = []

    def take(match: re.Match[str]) -> str:
        hour, minute, half = match.groups()
        if (minute is None and half is None) or int(hour) > 24:
            return match.group()
        value = int(hour)
        if half:
            half = half.lower() + "m"
        elif value > 12:
            half = "pm"
        elif len(hour) == 2 and value == 0:
            half = "am"
        found.append(Number(f"{value % 12}:{minute or '00'}", half or "clock", match.group().strip()))
        return " "

    return found, _CLOCK.sub(take, text)


def _written_in_digits(text: str) -> Iterator[Number]:
    for match in _DIGITS.finditer(text):
        start = match.start()
        before = text[start - 1 : start]
        tail = match["tail"] or ""
        written = match.group()[: len(match.group()) - len(tail)]
        if before == "." and not text[start - 2 : start - 1].isalnum() and start > 1:
            start, written = start - 1, "." + written
            before = text[start - 1 : start]
        if before and ((before.isascii() and before.isalpha()) or before == "_"):
            continue
        if before == "-" and text[start - 2 : start - 1].isalpha() and text[start - 2].isascii():
            continue
        currency = before if before in _CURRENCY else ""
        if not currency and before == " " and text[start - 2 : start - 1] in _CURRENCY and start > 1:
            currency = text[start - 2]
        start -= bool(before and currency == before)
        negative = text[start - 1 : start] == "-" and (start < 2 or text[start - 2] in _BEFORE_MINUS)
        shown, tail = tail, tail.strip(" -").lower()
        grouped = "," in written
        magnitude = _MAGNITUDE.get(tail, 0)
        if tail == "k" and shown[0] in " -":
            magnitude = 0
        if not (magnitude or tail in _UNIT or tail in _ZH_UNIT):
            shown = ""
        value = canonical(written.replace(",", ""), magnitude, money=bool(currency))
        if magnitude and (second := _SECOND_TAIL.match(text, match.end())):
            tail = second[1].lower()
        unit = currency or _UNIT.get(tail) or _ZH_UNIT.get(tail) or ""
        whole = f"{currency}{written}{shown}"
        if negative:
            # At the start of a line the sign may be the mark of a list item.
            yield Number("-" + value, unit, "-" + whole, firm=start > 1 and text[start - 2] != "\n")
            yield Number(value, unit, whole, firm=False)
        else:
            yield Number(value, unit, whole)
        if grouped:
            for part in written.split(","):
                yield Number(canonical(part), "", part, firm=False)


def canonical(digits: str, magnitude: int = 0, *, money: bool = False) -> str:
    """Return digits without a pointless zero: "09" -> "9", "3.0" -> "3", ".5" -> "0.5"; money "3.50" -> "3.5".

    A trailing zero after a point stays otherwise (version 3.10 is not 3.1), and so do leading zeros of 3 or more
    digits (postal codes). `magnitude` moves the point: ("2.5", 6) -> "2500000".
    """
    if "e" in digits or "E" in digits or digits.count(".") > 1:
        return digits.lower()
    whole, _, fraction = digits.partition(".")
    if magnitude:
        whole, fraction = whole + fraction[:magnitude].ljust(magnitude, "0"), fraction[magnitude:]
        whole = whole.lstrip("0")
    if not fraction.strip("0"):
        fraction = ""
    elif money:
        fraction = fraction.rstrip("0")
    if len(whole) == 2 or fraction:
        whole = whole.lstrip("0")
    whole = whole or "0"
    return f"{whole}.{fraction}" if fraction else whole


def _worded(words: list[str]) -> Iterator[Number]:
    position, count = 0, len(words)
    while position < count:
        word = words[position]
        if word not in _SPOKEN:
            position += 1
            continue
        if word in _ONES or word in _TENS or (word in ("hundred", "thousand", "million", "dozen")):
            start = position
            value, position = _read(words, position)
            spoken = " ".join(words[start:position])
            unit = ""
            if position < count:
                unit = _UNIT.get(words[position], "")
                if words[position] == "per" and position + 1 < count and words[position + 1] == "cent":
                    unit = "%"
            # "one" is a pronoun more often than a number, and a scale alone is mostly "a hundred" or "a million".
            yield Number(
                str(value),
                unit,
                spoken,
                firm=not (spoken == "one" or (position == start + 1 and word in _SCALES)),
            )
            continue
        if word in _ORDINALS:
            yield Number(str(_ORDINALS[word]), "", word)
        elif word in _LOOSE:
            for loose in _LOOSE[word]:
                yield Number(loose, "", word, firm=False)
            if word == "minus" and position + 1 < count and words[position + 1].isdigit():
                yield Number("-" + words[position + 1], "", "minus", firm=False)
        elif word in MONTHS:
            yield Number(MONTHS[word], "month", word, firm=False)
        position += 1


def _read(words: list[str], position: int) -> tuple[int, int]:
    """Read one cardinal number from `position`; return its value and the position after it."""
    total = group = 0
    last = 10**9  # the size of the part before: parts must fall ("sixty five", not "five sixty")
    start, count = position, len(words)
    while position < count:
        word = words[position]
        if word in _TENS and last > 90:
            group, last = group + _TENS[word], 10
        elif word in _ONES and (last > 90 or (last == 10 and 0 < _ONES[word] < 10)):
            group, last = group + _ONES[word], 1
        elif word == "hundred" and (0 < group < 100 or position == start):
            group, last = max(group, 1) * 100, 100
        elif word == "dozen" and group < 100:
            return total + max(group, 1) * 12, position + 1
        elif (
            word in _SCALES
            and word != "hundred"
            and (group or position == start)
            and (not total or total > _SCALES[word])
        ):
            total, group, last = total + max(group, 1) * _SCALES[word], 0, 1000
        elif word == "and" and last >= 100 and position > start and _continues(words, position + 1):
            pass
        else:
            break
        position += 1
    return total + group, position


def _continues(words: list[str], position: int) -> bool:
    return position < len(words) and (words[position] in _TENS or words[position] in _ONES)


def _chinese(text: str) -> Iterator[Number]:
    for match in CHINESE_NUMERAL.finditer(text):
        numeral, measure = match["numeral"], match["measure"]
        value = _read_chinese(numeral)
        if value is None:
            continue
        after_digit = match.start("numeral") > 0 and text[match.start("numeral") - 1].isdigit()
        firm = not after_digit and bool(
            match["ordinal"] or match["percent"] or (measure and numeral not in "一十百千万亿")
        )
        unit = "%" if match["percent"] else _ZH_UNIT.get(measure or "", "")
        yield Number(str(value), unit, match.group(), firm=firm)


def _read_chinese(numeral: str) -> int | None:
    """Return the value of Chinese numerals ("二百五十" 250, "二〇二四" 2024), or None when they are not one number."""
    if len(numeral) > 20:
        return None
    if not any(char in _ZH_SCALE for char in numeral):
        return int("".join(str(_ZH_DIGIT[char]) for char in numeral))
    total = section = digit = 0
    for char in numeral:
        if char in _ZH_DIGIT:
            digit = _ZH_DIGIT[char]
        elif (scale := _ZH_SCALE[char]) >= 10**4:
            total, section, digit = (total + max(section + digit, 1)) * scale, 0, 0
        else:
            section, digit = section + max(digit, 1) * scale, 0
    return total + section + digit


def lost_numbers(original: Iterable[Number], refined: Iterable[Number], *, each: bool = False) -> list[str]:
    """Return the written forms of the firm numbers of the original that the refined text does not have.

    A number with another unit, or without its percent or currency sign, is lost. An uncertain reading in the refined
    text counts only where the original had it less often. `each`: a number written twice must come twice.
    """
    before, after = list(original), list(refined)
    had, has = _tally(before), _tally(after)
    lost: dict[str, None] = {}
    for number in before:
        if number.firm and not _kept(number, had, has, each):
            lost.setdefault(number.written)
    return list(lost)


class _Tally(NamedTuple):
    firm: dict[str, int]
    loose: dict[str, int]
    units: dict[str, set[str]]


def _tally(found: list[Number]) -> _Tally:
    tally = _Tally({}, {}, {})
    for value, unit, _, firm in found:
        counts = tally.firm if firm else tally.loose
        counts[value] = counts.get(value, 0) + 1
        tally.units.setdefault(value, set()).add(unit)
    return tally


_REQUIRED_UNITS = frozenset("%$€£¥₹")


def _kept(number: Number, had: _Tally, has: _Tally, each: bool) -> bool:
    value, unit = number.value, number.unit
    firm = has.firm.get(value, 0)
    spare = has.loose.get(value, 0) - had.loose.get(value, 0)
    if firm + max(spare, 0) < (had.firm[value] if each else 1):
        parts = number.written.lstrip("$€£¥₹ ").split(",")
        return len(parts) > 1 and all(has.firm.get(canonical(part.split(" ")[0])) for part in parts)
    units = has.units[value]
    if ":" in value:
        return unit in units or "clock" in units or unit == "clock"
    if not unit or unit in units:
        return True
    if unit in _REQUIRED_UNITS:
        return False
    return "" in units


def has_date(text: str) -> bool:
    """Say whether a text has a date in digits, which may stand for the name of a month."""
    return _DATE.search(text) is not None


_NUMBERING = re.compile(r"^[ \t>*-]*\(?(\d{1,3}(?:\.\d{1,3})*)[.):]?(?=\s)", re.M)


def invented_numbers(original: str, stated: Iterable[Number], refined: Iterable[Number], prose: str) -> list[str]:
    """Return the weighty numbers of a refined text, in its `prose` too, that the normalised original does not have.

    `stated` are those of the original's running text; the rest of it is read only when one is not among them.
    Weighty are 4 digits and more, decimals, percentages, amounts of money and times of day; small counts belong to the
    structure that a refinement adds, and the numbers of its list items too.
    """
    known = {number.value for number in stated}
    suspects = [number for number in refined if number.firm and number.value not in known and _is_weighty(number)]
    if not suspects:
        return []
    known = {number.value for number in numbers(original)}
    suspects = [number for number in suspects if number.value not in known]
    if not suspects:
        return []
    running = {number.value for number in numbers(prose)}
    items = frozenset(_NUMBERING.findall(prose))
    written = (number.written for number in suspects if number.value in running and number.written not in items)
    return list(dict.fromkeys(written))


def _is_weighty(number: Number) -> bool:
    value = number.value
    return len(value) >= 4 or "." in value or ":" in value or number.unit in _REQUIRED_UNITS
