"""Instruction-response pairs whose answers are right by construction."""

from __future__ import annotations

import re
from random import Random

from augtui.domain.language import Language
from training.nano.kinds import pools
from training.nano.sources import Sources

_OPPOSITES = (
    "hot cold;big small;fast slow;light dark;up down;happy sad;old young;early late;rich poor;strong weak;open closed;"
    "full empty;hard soft;high low;wet dry;long short;thick thin;near far;loud quiet;clean dirty;good bad;day night;"
    "left right;true false;safe dangerous;deep shallow;heavy light;wide narrow;sharp blunt;sweet sour;cheap expensive"
)
_CAPITALS = (
    "France Paris;Germany Berlin;Italy Rome;Spain Madrid;Japan Tokyo;China Beijing;Russia Moscow;Egypt Cairo;"
    "Canada Ottawa;Greece Athens;Portugal Lisbon;Norway Oslo;Sweden Stockholm;Poland Warsaw;Austria Vienna;"
    "Cuba Havana;Peru Lima;Kenya Nairobi;Ireland Dublin;Finland Helsinki;Turkey Ankara;Hungary Budapest;"
    "Thailand Bangkok;Chile Santiago"
)
_PLURALS = (
    "child children;mouse mice;tooth teeth;foot feet;man men;woman women;leaf leaves;city cities;box boxes;"
    "knife knives;goose geese;baby babies;bus buses;wolf wolves;party parties;"
    "dish dishes;hero heroes;sheep sheep;fox foxes"
)
_PASTS = (
    "go went;eat ate;see saw;take took;write wrote;run ran;buy bought;think thought;sing sang;give gave;fly flew;"
    "know knew;come came;drink drank;speak spoke;break broke;swim swam;teach taught;find found;drive drove;sleep slept"
)
_LOOKUPS = (
    (_OPPOSITES, "What is the opposite of {a}?", "The opposite of {a} is {b}."),
    (_CAPITALS, "What is the capital of {a}?", "The capital of {a} is {b}."),
    (_PLURALS, 'What is the plural of "{a}"?', 'The plural of "{a}" is "{b}".'),
    (_PASTS, 'What is the past tense of "{a}"?', 'The past tense of "{a}" is "{b}".'),
)
_UNITS = (("kilometers", "meters", 1000), ("meters", "centimeters", 100), ("hours", "minutes", 60),
          ("days", "hours", 24), ("weeks", "days", 7), ("minutes", "seconds", 60), ("kilograms", "grams", 1000),
          ("feet", "inches", 12), ("liters", "milliliters", 1000), ("years", "months", 12),
          ("dollars", "cents", 100))  # fmt: skip


class Pairs:
    """Instruction-response pairs whose answers are right by construction, and short facts from real answers."""

    def __init__(self, sources: Sources) -> None:
        """Keep the real pairs whose answer is a short sentence."""
        self._facts = [
            (p.text, p.answer)
            for p in sources.prompts
            if p.group in ("dolly", "book")
            and not p.input
            and 2 < len(p.answer) < 90
            and len(p.text) < 110
            and "\n" not in p.answer
            and p.answer.isascii()
            and not re.search(r"\b(passage|paragraph|text|given|reference|following)\b", p.text.lower())
        ]

    def one(self, kind: int, random: Random) -> tuple[str, str]:
        """Return a pair of one of eight kinds; kind 8 and above are real facts."""
        if kind == 0:
            a, b = random.randint(2, 20), random.randint(2, 20)
            op = random.choice("+-*")
            a, b = (max(a, b), min(a, b)) if op == "-" else (a, b)
            if op == "*":
                a, b = random.randint(2, 10), random.randint(2, 10)
            value = {"+": a + b, "-": a - b, "*": a * b}[op]
            return random.choice((f"What is {a} {op} {b}?", f"Calculate {a} {op} {b}.")), f"{a} {op} {b} = {value}"
        if kind == 1:
            big, small, factor = random.choice(_UNITS)
            n = random.randint(2, 10)
            return f"Convert {n} {big} to {small}.", f"{n} {big} are {n * factor} {small}."
        if kind == 6:
            return _word_question(random)
        if kind == 7:
            return _chinese(random)
        if kind > 7 and self._facts:
            return random.choice(self._facts)
        kind = min(kind, 5)
        table, form, answer = _LOOKUPS[kind - 2]
        given, wanted = random.choice(table.split(";")).split()
        return form.format(a=given), answer.format(a=given, b=wanted)

    def chat(self, random: Random) -> tuple[list[tuple[str, str]], tuple[str, str]]:
        """Return one to three demonstrations and a further pair, of one kind or mixed."""
        kind, mixed = random.randint(0, 11), random.random() < 0.4
        pairs: list[tuple[str, str]] = []
        wanted = random.randint(2, 4)
        while len(pairs) < wanted:
            pair = self.one(random.randint(0, 11) if mixed else kind, random)
            if pair not in pairs:
                pairs.append(pair)
        return pairs[:-1], pairs[-1]


def _word_question(random: Random) -> tuple[str, str]:
    """Return a question about words whose answer can be read off: their number, order, letters or category."""
    known = pools(Language.EN)
    words = random.sample([w for w in known["animal"] + known["thing"] if " " not in w], random.randint(3, 4))
    listed = ", ".join(words)
    choice = random.randrange(4)
    if choice == 0:
        return f"Sort these words in alphabetical order: {listed}.", ", ".join(sorted(words))
    if choice == 1:
        return f'Write the word "{words[0]}" in capital letters.', words[0].upper()
    if choice == 2:
        return f"How many words are in this list: {listed}?", f"There are {len(words)} words in the list."
    animal = random.choice(known["animal"])
    thing = random.choice(known["thing"])
    word, answer = random.choice(((animal, "an animal"), (thing, "a thing")))
    return f'Is "{word}" an animal or a thing?', f'"{word}" is {answer}.'


_OPPOSITES_ZH = "大 小;高 低;快 慢;冷 热;新 旧;长 短;多 少;远 近;黑 白;胖 瘦;早 晚;轻 重;深 浅;开 关;左 右"
_CAPITALS_ZH = (
    "法国 巴黎;德国 柏林;意大利 罗马;日本 东京;中国 北京;英国 伦敦;"
    "俄罗斯 莫斯科;埃及 开罗;韩国 首尔;泰国 曼谷;希腊 雅典;西班牙 马德里"
)


def _chinese(random: Random) -> tuple[str, str]:
    """Return a Chinese pair: an opposite, a capital or a sum."""
    choice = random.randrange(3)
    if choice == 0:
        given, wanted = random.choice(_OPPOSITES_ZH.split(";")).split()
        return f"“{given}”的反义词是什么？", f"“{given}”的反义词是“{wanted}”。"
    if choice == 1:
        given, wanted = random.choice(_CAPITALS_ZH.split(";")).split()
        return f"{given}的首都是哪里？", f"{given}的首都是{wanted}。"
    a, b = random.randint(2, 20), random.randint(2, 20)
    return f"{a}加{b}等于多少？", f"{a}加{b}等于{a + b}。"
