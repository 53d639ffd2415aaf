"""The rule teacher's refinement: verbatim first, then structure that suits the task type.

The user's own words stand in their order, with chat filler removed and function-word typos corrected, so a model that
imitates it keeps every number, name and content word. What is added is the task type's own: aspects and rules.
"""

from __future__ import annotations

import re
from random import Random

from augtui.domain.delexical import REST, TEXTS, WORDS
from augtui.domain.language import Language
from training.nano.kinds import TaskType

FILLERS = (
    "hey, ", "hi, ", "hello, ", "hey ", "hi! ", "hello! ", "please ", "pls ", "plz ", "can you ", "could you ",
    "can u ", "could you please ", "can you please ", "would you ", "hey can you ", "hi, could you ",
    "hello, can you please ", "ok so ", "so, ", "um, ", "hey there, ", "hi there! ", "please can you ",
    "ok, ", "hey, please ",
)  # fmt: skip
_QUESTION_FILLERS = ("hey, ", "hi, ", "hello, ", "hey ", "hi! ", "hello! ", "ok so ", "so, ", "um, ", "hi there! ",
                     "ok, ")  # fmt: skip
GREETINGS_ZH = ("你好，", "您好，", "你好！", "请问，", "麻烦你，")
"""These stay: in Chinese a request without them can be rude."""
TYPOS = {
    "you": ("u",),
    "because": ("becuase",),
    "don't": ("dont",),
    "I'm": ("im",),
    "I": ("i",),
    "what's": ("whats",),
    "What's": ("whats", "Whats"),
    "can't": ("cant",),
    "doesn't": ("doesnt",),
    "between": ("betwen", "beetween"),
}
"""Function words and how they are mistyped; a mistyped content word is left as it is, as it may be a name."""


def is_question(text: str) -> bool:
    """Say whether a text asks."""
    start = r"(what|who|whom|whose|when|where|which|why|how|is|are|was|were|did|does|do|can|should|has|have|will)\b"
    last = re.split(r"(?<=[.!?]) ", text)[-1]
    return text.rstrip().endswith("?") or bool(re.match(start, last.lower()))


def is_question_zh(text: str) -> bool:
    """Say whether a Chinese text asks."""
    last = re.split(r"[。！？\n]", text.rstrip("。！？ "))[-1]
    return bool(
        re.search(r"(吗|呢|什么|谁|哪|几[个种点岁]|多少|为什么|如何|怎么|怎样|是否|能否)", last)
    ) and not re.match(r"(请|帮|写|用|解释|列|给|总结|翻译|告诉|介绍|教)", last)


def _capitalised(text: str, known: frozenset[str]) -> str:
    first = re.match(r"[a-z]+\b", text)
    # An unknown first word may be a name, a command or an identifier: its spelling is the user's.
    return text[0].upper() + text[1:] if first and first[0] in known else text


def closed(text: str) -> str:
    """Return the request with a full stop or question mark at its end, if it ends in a word."""
    if (
        "\n" in text
        or text[-1:] in TEXTS + REST
        or not re.search(rf"[\w{WORDS})\"'%]$", text)
        or re.search(r"\S+[./_{}$\\@]\S*$|[`}]$", text)
    ):
        return text
    return text + ("?" if is_question(text) else ".")


def closed_zh(text: str) -> str:
    """Return the Chinese request with a final mark, if it ends in a character."""
    if "\n" in text or not re.search(rf"[\u4e00-\u9fff{WORDS}）”》]$", text):
        return text
    return text + ("？" if is_question_zh(text) else "。")


def tidy(text: str, known: frozenset[str]) -> str:
    """Return the teacher's spelling of a clean prompt: first letter capital if the word is common, closed sentence."""
    return closed(_capitalised(text, known))


def roughen(text: str, known: frozenset[str], random: Random) -> str:
    """Return the prompt as a hasty user might type it: filler, small first letter, no final mark, a typo.

    Only what `tidy` can restore is changed, so that the pair teaches nothing but copying and cleaning.
    """
    typed = text
    if "\n" not in typed and re.search(r"\w[.?]$", typed) and random.random() < 0.45 and closed(typed[:-1]) == typed:
        typed = typed[:-1]
    first = re.match(r"[A-Z][a-z]*\b", typed)
    if first and first[0].lower() in known and first[0] != "I":
        filler = ""
        if random.random() < 0.3:
            polite = re.match(r"(can|could|would|please)\b", text.lower())
            filler = random.choice(_QUESTION_FILLERS if is_question(text) or polite else FILLERS)
        if filler or random.random() < 0.45:
            typed = typed[0].lower() + typed[1:]
        typed = filler + typed
        if filler and random.random() < 0.3:
            typed = typed[0].upper() + typed[1:]
    if random.random() < 0.3 and "`" not in typed:
        words = typed.split(" ")
        places = [i for i, word in enumerate(words) if word in TYPOS]
        if places:
            place = random.choice(places)
            words[place] = random.choice(TYPOS[words[place]])
            typed = " ".join(words)
    return typed


def roughen_zh(text: str, random: Random) -> str:
    """Return the Chinese prompt as a hasty user might type it: without a final mark."""
    is_closed = "\n" not in text and text.endswith(("。", "？"))
    return text[:-1] if is_closed and random.random() < 0.5 and closed_zh(text[:-1]) == text else text


_CLOSINGS = (
    "Based on these requirements, please give a complete {n}.", "Use clear and simple language.",
    "Be precise and concrete.",
    "Keep the {n} clear and well organized.", "Make sure that the {n} is complete and easy to follow.",
)  # fmt: skip


def _topic(text: str) -> str:
    """Return a short subject that the prompt names, or "": a phrase to repeat in the added structure."""
    found = re.search(
        rf"\b(?:about|between|of|is|are|explain|describe|for|to|in) ((?:[\w{WORDS}'-]+ ?){{1,4}})[.?]$", text
    )
    if not found or "\n" in text:
        return ""
    phrase = found[1].strip()
    return "" if re.search(r"\b(is|are|was|do|does|it|this|that|each|them|and|or|a|an)$", phrase.lower()) else phrase


def _joined(items: list[str]) -> str:
    return ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else items[0]


def _sentence(item: str) -> str:
    return item[0].upper() + item[1:] + "."


def _some(items: list[str], count: int, random: Random) -> list[str]:
    return [items[i] for i in sorted(random.sample(range(len(items)), min(count, len(items))))]


def structure(request: str, kind: TaskType, random: Random) -> str:
    """Return the refined prompt: the request as it stands, with aspects or rules of its task type around it."""
    long = len(request) > 320 or request.count("\n") > 1
    wanted = random.choice((2, 2, 3)) if long else random.choice((2, 3, 3, 4))
    aspects, rules = _some(kind.aspects, wanted, random), _some(kind.rules, wanted, random)
    noun = kind.noun
    topic = _topic(request)
    if topic and kind.name in ("explain", "outline", "study", "compare", "history") and random.random() < 0.4:
        aspects[-1] = random.choice(
            (f"a concrete example of {topic}", f"the most important facts about {topic}", f"why {topic} is of interest")
        )
    # A request that ends in a link, code or a bare text must not run on into the next sentence.
    block = "\n" in request or not re.search(r"[.?!:\"')]$", request)
    layout = random.choice(
        ("rules", "bullets", "bullets", "covers", "numbered")
        if block
        else (
            "include",
            "covers",
            "bullets",
            "prose",
            "rules",
            "rules",
            "role",
            "inline",
            "task",
            "sections",
            "numbered",
        )
    )
    gap = "\n\n" if block else random.choice((" ", "\n\n"))
    listed = "\n".join(f"{i}. {_sentence(a)}" for i, a in enumerate(aspects, 1))
    bullets = "\n".join(f"- {r}" for r in rules)
    if layout == "include":
        verb = random.choice(("should include", "should cover", "should contain"))
        return f"{request}{gap}The {noun} {verb}:\n{listed}"
    if layout == "covers":
        lead = random.choice((f"In your {noun}, include:", f"Make sure that your {noun} covers:", "Please cover:"))
        return f"{request}{gap}{lead}\n{listed}"
    if layout == "bullets":
        lead = random.choice(("Requirements:", "Please follow these requirements:", "Guidelines:"))
        return f"{request}\n\n{lead}\n{bullets}"
    if layout == "numbered":
        lead = random.choice(("Requirements:", "Please keep to these points:", "Notes:"))
        return f"{request}\n\n{lead}\n" + "\n".join(f"{i}. {r}" for i, r in enumerate(rules, 1))
    if layout == "prose":
        verb = random.choice((f"Your {noun} should include", f"The {noun} should have", "Please include"))
        return f"{request} {verb} {_joined(aspects)}. {random.choice(rules)}"
    if layout == "rules":
        return f"{request}{gap if block else ' '}{' '.join(rules)}"
    if layout == "task":
        return f"Task: {request}\n\nRequirements:\n{bullets}"
    if layout == "sections":
        return f"{request}\n\nContent:\n{listed}\n\nStyle:\n- {random.choice(rules)}"
    if layout == "role":
        article = "an" if kind.role[0] in "aeiou" else "a"
        return f"You are {article} {kind.role}. {request} {' '.join(rules[:3])}"
    closing = random.choice(_CLOSINGS).format(n=noun)
    inline = " ".join(f"{i}. {_sentence(a)}" for i, a in enumerate(aspects, 1))
    return f"{request} The {noun} should include: {inline} {closing}"


def structure_zh(request: str, kind: TaskType, random: Random) -> str:
    """Return the refined Chinese prompt, in the manner of `structure`."""
    wanted = random.choice((2, 3, 3, 4)) if len(request) < 200 else 2
    aspects, rules = _some(kind.aspects, wanted, random), _some(kind.rules, wanted, random)
    block = "\n" in request or not re.search(r"[。？！：”）]$", request)
    layouts = (
        ("bullets", "numbered", "covers") if block else ("bullets", "numbered", "covers", "prose", "rules", "role")
    )
    layout = random.choice(layouts)
    listed = "\n".join(f"{i}. {a}。" for i, a in enumerate(aspects, 1))
    if layout == "bullets":
        return f"{request}\n\n{random.choice(('要求：', '请注意：'))}\n" + "\n".join(f"- {r}" for r in rules)
    if layout == "numbered":
        return f"{request}\n\n要求：\n" + "\n".join(f"{i}. {r}" for i, r in enumerate(rules, 1))
    if layout == "covers":
        lead = random.choice((f"{kind.noun}应包括：", f"请在{kind.noun}中包含以下内容："))
        return f"{request}\n\n{lead}\n{listed}"
    if layout == "prose":
        return f"{request}{kind.noun}应包括{'、'.join(aspects[:-1])}和{aspects[-1]}。{random.choice(rules)}"
    if layout == "role":
        return f"你是一位{kind.role}。{request}{''.join(rules[:3])}"
    return request + "".join(rules)


def refine(
    text: str, kind: TaskType, known: frozenset[str], random: Random, spoken: Language = Language.EN
) -> tuple[str, str]:
    """Return (what the user typed, the refined prompt) for a clean prompt of a known task type."""
    if spoken is Language.ZH:
        request = closed_zh(random.choice(GREETINGS_ZH) + text if random.random() < 0.08 else text)
        return roughen_zh(request, random), structure_zh(request, kind, random)
    request = tidy(text, known)
    refined = structure(request, kind, random)
    # A greeting that gave way to a heading would look like a word that was swapped.
    return request if refined.startswith("Task:") else roughen(request, known, random), refined
