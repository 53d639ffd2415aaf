"""The rule teacher: training chats for the small model, made by rules from real prompts and texts.

Its refined prompt is verbatim-first: the user's own words in their order, with chat filler removed and function-word
typos corrected, then structure that suits the task type. So a model that imitates it keeps every number, name and
content word. The same seed and sources give the same chats.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from augtui.domain.templates import load
from training.nano.sources import Prompt, Sources

Chat = dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class TaskType:
    """What the teacher knows of one kind of task; the fields are explained in tasks.toml."""

    name: str
    pattern: str
    noun: str
    role: str
    aspects: list[str]
    rules: list[str]
    forms: list[str]
    subjects: list[str]
    actions: tuple[str, ...] = ()


@cache
def task_types() -> tuple[TaskType, ...]:
    """Return the task types of tasks.toml in their order of precedence."""
    content = tomllib.loads(Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8"))
    return tuple(TaskType(**entry) for entry in content["type"])


def classify(prompt: str) -> TaskType:
    """Return the first task type whose pattern the prompt's first sentences match: what follows is mostly detail."""
    parts = re.split(r"\n|(?<=[.?!]) ", prompt[:300].lower())
    head = " ".join(parts[:2]) if len(parts[0]) < 40 else parts[0]
    return next(kind for kind in task_types() if re.search(kind.pattern, head))


# --- refine -----------------------------------------------------------------------------------------------------

FILLERS = (
    "hey, ", "hi, ", "hello, ", "hey ", "hi! ", "hello! ", "please ", "pls ", "plz ", "can you ", "could you ",
    "can u ", "could you please ", "can you please ", "would you ", "hey can you ", "hi, could you ",
    "hello, can you please ", "ok so ", "so, ", "um, ", "hey there, ", "hi there! ", "please can you ",
    "ok, ", "hey, please ",
)  # fmt: skip
_QUESTION_FILLERS = (
    "hey, ",
    "hi, ",
    "hello, ",
    "hey ",
    "hi! ",
    "hello! ",
    "ok so ",
    "so, ",
    "um, ",
    "hi there! ",
    "ok, ",
)
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


def _is_question(text: str) -> bool:
    start = r"(what|who|whom|whose|when|where|which|why|how|is|are|was|were|did|does|do|can|should|has|have|will)\b"
    return text.rstrip().endswith("?") or bool(re.match(start, text.lower()))


def _capitalised(text: str, known: frozenset[str]) -> str:
    first = re.match(r"[a-z]+\b", text)
    # An unknown first word may be a name, a command or an identifier: its spelling is the user's.
    return text[0].upper() + text[1:] if first and first[0] in known else text


def _closed(text: str) -> str:
    """Return the request with a full stop or question mark at its end, if it ends in a word."""
    if "\n" in text or not re.search(r"[\w)\"'%]$", text) or re.search(r"\S+[./_{}$\\]\S*$|[`}]$", text):
        return text
    return text + ("?" if _is_question(text) else ".")


def tidy(text: str, known: frozenset[str]) -> str:
    """Return the teacher's spelling of a clean prompt: first letter capital if the word is common, closed sentence."""
    return _closed(_capitalised(text, known))


def roughen(text: str, known: frozenset[str], random: Random) -> str:
    """Return the prompt as a hasty user might type it: filler, small first letter, no final mark, a typo.

    Only what `tidy` can restore is changed, so that the pair teaches nothing but copying and cleaning.
    """
    typed = text
    if "\n" not in typed and re.search(r"\w[.?]$", typed) and random.random() < 0.45 and _closed(typed[:-1]) == typed:
        typed = typed[:-1]
    first = re.match(r"[A-Z][a-z]*\b", typed)
    if first and first[0].lower() in known and first[0] != "I":
        filler = ""
        if random.random() < 0.3:
            question = _is_question(text)
            polite = re.match(r"(can|could|would|please)\b", text.lower())
            filler = random.choice(_QUESTION_FILLERS if question or polite else FILLERS)
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


_CLOSINGS = (
    "Based on these requirements, please give a complete {n}.", "Use clear and simple language.",
    "Be precise and concrete.",
    "Keep the {n} clear and well organized.", "Make sure that the {n} is complete and easy to follow.",
)  # fmt: skip


def _topic(text: str) -> str:
    """Return a short subject that the prompt names, or "": a phrase to repeat in the added structure."""
    found = re.search(r"\b(?:about|between|of|is|are|explain|describe|for|to|in) ((?:[\w'-]+ ?){1,4})[.?]$", text)
    if not found or "\n" in text:
        return ""
    phrase = found[1].strip()
    return "" if re.search(r"\b(is|are|was|do|does|it|this|that|each|them|and|or|a|an)$", phrase.lower()) else phrase


def _joined(items: list[str]) -> str:
    return ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else items[0]


def _sentence(item: str) -> str:
    return item[0].upper() + item[1:] + "."


def structure(request: str, kind: TaskType, random: Random) -> str:
    """Return the refined prompt: the request as it stands, with aspects or rules of its task type around it."""
    long = len(request) > 320 or request.count("\n") > 1
    wanted = random.choice((2, 2, 3)) if long else random.choice((2, 3, 3, 4))
    aspects = [kind.aspects[i] for i in sorted(random.sample(range(len(kind.aspects)), min(wanted, len(kind.aspects))))]
    rules = [kind.rules[i] for i in sorted(random.sample(range(len(kind.rules)), min(wanted, len(kind.rules))))]
    noun = kind.noun
    topic = _topic(request)
    if topic and kind.name in ("explain", "outline", "study", "compare") and random.random() < 0.5:
        aspects[-1] = random.choice(
            (f"a concrete example of {topic}", f"the most important facts about {topic}", f"why {topic} is of interest")
        )
    # A request that ends in a link, code or a bare text must not run on into the next sentence.
    block = "\n" in request or not re.search(r"[.?!:\"')]$", request)
    layout = random.choice(
        ("rules", "bullets", "covers")
        if block
        else ("include", "covers", "bullets", "prose", "rules", "rules", "role", "inline")
    )
    gap = "\n\n" if block else random.choice((" ", "\n\n"))
    numbered = "\n".join(f"{i}. {_sentence(a)}" for i, a in enumerate(aspects, 1))
    if layout == "include":
        verb = random.choice(("should include", "should cover", "should contain"))
        return f"{request}{gap}The {noun} {verb}:\n{numbered}"
    if layout == "covers":
        lead = random.choice((f"In your {noun}, include:", f"Make sure that your {noun} covers:", "Please cover:"))
        return f"{request}{gap}{lead}\n{numbered}"
    if layout == "bullets":
        lead = random.choice(("Requirements:", "Please follow these requirements:", "Guidelines:"))
        return f"{request}\n\n{lead}\n" + "\n".join(f"- {r}" for r in rules)
    if layout == "prose":
        verb = random.choice((f"Your {noun} should include", f"The {noun} should have", "Please include"))
        return f"{request} {verb} {_joined(aspects)}. {random.choice(rules)}"
    if layout == "rules":
        return f"{request}{gap if block else ' '}{' '.join(rules)}"
    if layout == "role":
        article = "an" if kind.role[0] in "aeiou" else "a"
        return f"You are {article} {kind.role}. {request} {' '.join(rules[:3])}"
    closing = random.choice(_CLOSINGS).format(n=noun)
    inline = " ".join(f"{i}. {_sentence(a)}" for i, a in enumerate(aspects, 1))
    return f"{request} The {noun} should include: {inline} {closing}"


def refine(text: str, kind: TaskType, known: frozenset[str], random: Random) -> tuple[str, str]:
    """Return (what the user typed, the refined prompt) for a clean prompt of a known task type."""
    request = tidy(text, known)
    return roughen(request, known, random), structure(request, kind, random)


# --- synthetic prompts --------------------------------------------------------------------------------------------

_LETTERS = "bcdfghjklmnprstvwz"


def rare_word(random: Random) -> str:
    """Return a word that no text holds, such as "Tovarim": what must be copied because it cannot be known."""
    word = "".join(random.choice(_LETTERS) + random.choice("aeiouy") for _ in range(random.randint(1, 4)))
    word += random.choice(("", "n", "r", "x", "rt", "ng", "s", "k"))
    return word.capitalize() if random.random() < 0.5 else word


def identifier(random: Random) -> str:
    """Return a made-up identifier, call, flag or path."""
    a, b = rare_word(random).lower(), random.choice(("user", "data", "count", "file", "index", "name", "list", "max"))
    return random.choice(
        (
            f"{a}_{b}",
            f"get_{a}()",
            f"{a}{b.capitalize()}",
            f"--{a}-{b}",
            f"/{b}/{a}.py",
            f"{a}.{b}",
            f"`{a}({b})`",
            f"`{b}_{a}`",
            f"{b.upper()}_{a.upper()}",
            f"{a}.json",
            f"`{a} = {b}[0]`",
        )
    )


def detail(sources: Sources, random: Random) -> str:
    """Return a sentence with facts that must survive: a number, a variable, a link, a quotation, code or a name."""
    n = random.choice(
        (
            str(random.randint(2, 12)),
            str(random.randint(13, 9999)),
            f"{random.uniform(0, 99):.1f}",
            f"{random.randint(1, 999)},{random.randint(0, 999):03}",
        )
    )
    word, name = rare_word(random), identifier(random)
    subject = random.choice(sources.subjects)
    variable = "${{" + random.choice((word.lower(), f"{word.lower()}_name", "text", "topic", "news", "input")) + "}}"
    curly = "{" + random.choice((word.lower(), "name", "question", "article")) + "}"
    link = f"https://{word.lower()}.{random.choice(('com', 'org', 'io', 'net'))}/" + random.choice(
        (
            "",
            f"{rare_word(random).lower()}",
            f"docs/{random.randint(1, 99)}",
            f"{rare_word(random).lower()}.html?id={n[:2]}",
        )
    )
    return random.choice((
        f"Use at most {n} words.", f"The limit is {n}.", f"Keep it under {n} characters.", f"My budget is ${n}.",
        f"Mention {subject} in the answer.", f"Use {variable} as the input.", f"The text is {variable}.",
        f"Here is the article: {variable}", f"Use {name} for this.", f"The function is called {name}.",
        f"See {link} for more.", f"The source is {link}", f'Use the phrase "{word} {rare_word(random)}".',
        f'The title is "{subject}".', f"My name is {word.capitalize()}.",
        f"It is for {word.capitalize()} and {subject}.",
        f"Write exactly {n} sentences.",
        f"The answer should be in {random.choice(('French', 'JSON', 'Markdown', 'CSV'))}.",
        f"Do not mention {subject}.", f"Call it {word}.", f"Replace {curly} with the name.", f"It costs {n} euros.",
        f"It is for my {random.choice(('boss', 'sister', 'class', 'team', 'son', 'friend'))} {word.capitalize()}.",
        f"The meeting is on {random.choice(('Monday', 'Friday', 'March 3', 'July 21'))} at {random.randint(1, 12)} pm.",
        f"I am {random.randint(8, 80)} years old.", f"Include {random.randint(2, 9)} examples.", "No explanations.",
        f"Start with {word} and end with {rare_word(random)}.", "Keep it short.", "Use simple words.",
    ))  # fmt: skip


def code_block(random: Random) -> str:
    """Return a short made-up program, whose layout must be carried over line by line."""
    f, x, y = (rare_word(random).lower() for _ in range(3))
    n = random.randint(0, 99)
    return random.choice((
        f"def {f}({x}, {y}):\n    return {x} + {y} * {n}", f"for {x} in range({n}):\n    print({x}, {y})",
        f"SELECT {x}, {y} FROM {f} WHERE {x} > {n};", f"function {f}({x}) {{\n  return {x}.{y}({n});\n}}",
        f"let {x} = {f}({n});\nif ({x} == {y}) {{\n  {y}++;\n}}", f"<div class=\"{f}\">\n  <p>{x}</p>\n</div>",
        f'{{"{x}": {n}, "{y}": "{f}"}}', f"{f} --{x} {n} | grep {y} > {x}.txt", f"{x} = [{n}, {n + 3}]\n{f}({x})[{y}]",
        f"try:\n    {f}.{x}()\nexcept ValueError:\n    {y} = {n}",
    ))  # fmt: skip


def synthetic_prompt(sources: Sources, random: Random) -> tuple[str, TaskType]:
    """Return a prompt and its task type: a form with a subject from the corpora or made up, details, an input."""
    kind = random.choice(task_types())
    form = random.choice(kind.forms)
    chance = random.random()
    if chance < 0.3:
        subject = random.choice(kind.subjects)
    elif chance < 0.65:
        subject = random.choice(sources.subjects)
    elif chance < 0.85:
        subject = " ".join(random.choices(sources.words, k=random.randint(1, 3)))
    elif chance < 0.93:
        subject = " ".join(rare_word(random) for _ in range(random.randint(1, 3)))
    else:
        subject = identifier(random)
    text = form.replace("{s}", subject).replace("{t}", random.choice(kind.actions or ("learn faster",)))
    text = _closed(text)
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 4))):
        text += " " + detail(sources, random)
    chance = random.random()
    if chance < 0.1:
        text += random.choice(("\n", "\n\n")) + code_block(random)
    elif chance < 0.25:
        text += random.choice(("\n", "\n\n", "\n\nInput: ", "\nText: ")) + _passage(sources, random, 3)
    return text, kind


def _passage(sources: Sources, random: Random, longest: int) -> str:
    start = random.randrange(len(sources.sentences) - longest)
    return " ".join(sources.sentences[start : start + random.randint(1, longest)])


def real_prompt(prompt: Prompt, sources: Sources, random: Random) -> str:
    """Return a real prompt with its input, or now and then with a passage it could be about or a detail."""
    text = prompt.text
    if prompt.input:
        return text + random.choice(("\n\n", "\n", "\n\nInput: ", "\nInput:\n", " ")) + prompt.input
    about_text = re.search(r"\b(passage|paragraph|text|article|given|reference|following)\b", text.lower())
    if prompt.group == "dolly" and (random.random() < (0.5 if about_text else 0.05)):
        return text + random.choice(("\n\n", "\n", "\n\nText: ")) + _passage(sources, random, 4)
    if len(text) < 200 and random.random() < 0.2:
        text = _closed(text) + " " + detail(sources, random)
    if len(text) < 200 and random.random() < 0.25:
        second = random.choice(sources.prompts).text
        text = _closed(text) + " " + second if len(second) < 200 else text
    return text


def copy_text(sources: Sources, random: Random) -> str:
    """Return a text of no meaning to be copied: rare words, identifiers, characters or mixed sentences."""
    chance = random.random()
    if chance < 0.2:
        return " ".join(rare_word(random) for _ in range(random.randint(3, 25)))
    if chance < 0.35:
        return " ".join(random.choice((identifier, rare_word))(random) for _ in range(random.randint(2, 10)))
    if chance < 0.45:
        alphabet = string.ascii_letters + string.digits + string.punctuation
        return " ".join("".join(random.choices(alphabet, k=random.randint(2, 9))) for _ in range(random.randint(2, 8)))
    if chance < 0.85:
        # Every word equally often, so that every token's embedding learns to be copied.
        return " ".join(random.choices(sources.words, k=random.randint(4, 40)))
    words = " ".join(random.choice(sources.sentences) for _ in range(3)).split()
    random.shuffle(words)
    return " ".join(words[: random.randint(5, 40)])


# --- expand and pairs ---------------------------------------------------------------------------------------------


class Expander:
    """Pairs of different instructions of one kind: real ones that open alike, real ones and forms, or two forms."""

    def __init__(self, sources: Sources) -> None:
        """Group the real prompts by task type and opening words; groups of one are of no use and are left out."""
        groups: dict[str, list[str]] = defaultdict(list)
        for prompt in sources.prompts:
            if prompt.group == "role" or prompt.input or len(prompt.text) > 330:
                continue
            if re.search(
                r"\b(passage|paragraph|text|given|reference|following|this|these|below)\b", prompt.text.lower()
            ):
                continue
            opening = " ".join(re.findall(r"\w+", prompt.text.lower())[:2])
            key = prompt.group if prompt.group[:5] in ("gsm8k", "snips") else f"{classify(prompt.text).name} {opening}"
            groups[key].append(prompt.text)
        self._groups = [sorted(set(group)) for group in groups.values() if len(set(group)) >= 6]
        # The square root keeps two large uniform sets from being most of what is seen.
        self._weights = [len(group) ** 0.5 for group in self._groups]

    def pair(self, random: Random) -> tuple[str, str]:
        """Return (instruction, another of the same kind with other content)."""
        chance = random.random()
        if chance < 0.15:
            group = random.choices(self._groups, self._weights)[0]
            source, target = random.sample(group, 2)
            return source, target
        if chance < 0.6:
            source = random.choice(random.choice(self._groups))
            kind, opening = classify(source), source.split()[0].lower()
            alike = [form for form in kind.forms if form.split()[0].lower() == opening] or kind.forms
            form = random.choice(alike)
            action = random.choice(kind.actions) if kind.actions else ""
            return source, form.replace("{s}", random.choice(kind.subjects)).replace("{t}", action)
        kind = random.choice(task_types())
        first, second = random.choice(kind.forms), random.choice(kind.forms)
        if random.random() < 0.5:
            second = first
        a, b = random.sample(kind.subjects, 2)
        c, d = random.sample(kind.actions, 2) if kind.actions else ("", "")
        return first.replace("{s}", a).replace("{t}", c), second.replace("{s}", b).replace("{t}", d)


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
        """Return a pair of one of seven kinds; kind 6 and above are real facts."""
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
        if kind > 5:
            return random.choice(self._facts)
        table, form, answer = _LOOKUPS[kind - 2]
        given, wanted = random.choice(table.split(";")).split()
        return form.format(a=given), answer.format(a=given, b=wanted)

    def chat(self, random: Random) -> tuple[list[tuple[str, str]], tuple[str, str]]:
        """Return one to three demonstrations and a further pair, of one kind or mixed."""
        kind, mixed = random.randint(0, 9), random.random() < 0.4
        pairs: list[tuple[str, str]] = []
        wanted = random.randint(2, 4)
        while len(pairs) < wanted:
            pair = self.one(random.randint(0, 9) if mixed else kind, random)
            if pair not in pairs:
                pairs.append(pair)
        return pairs[:-1], pairs[-1]


# --- the stream ---------------------------------------------------------------------------------------------------


def chat(task: str, answer: str, **values: object) -> Chat:
    """Return the chat of one example, with the paper's prompt of its task as augtui will render it."""
    messages = [{"role": m.role, "content": m.content} for m in load(task).render(**values)]
    return {"messages": [*messages, {"role": "assistant", "content": answer}]}


def common_first_words(sources: Sources) -> frozenset[str]:
    """Return the words that open at least five real prompts, in small letters, and all that open a form."""
    counts = Counter(match[0].lower() for p in sources.prompts if (match := re.match(r"[A-Za-z]+\b", p.text)))
    forms = {form.split()[0].lower() for kind in task_types() for form in kind.forms}
    return frozenset({word for word, count in counts.items() if count >= 5} | forms)


def stream(sources: Sources, seed: int, count: int) -> Iterator[Chat]:
    """Yield `count` chats: about 70% refine, 22% expand, 8% pairs; pure copying at first, fading out.

    The order is a curriculum: short and copy-heavy first. The same arguments give the same chats.
    """
    random = Random(seed)
    known = common_first_words(sources)
    expander, pairs = Expander(sources), Pairs(sources)
    by_group: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in sources.prompts:
        by_group[prompt.group.split()[0]].append(prompt)
    shares = {"dolly": 0.52, "seed": 0.05, "book": 0.14, "role": 0.06, "gsm8k": 0.13, "snips": 0.10}
    for index in range(count):
        progress = index / count
        choice = random.random()
        if random.random() < max(0.06, 0.25 - progress):
            text = copy_text(sources, random)
            request = _closed(text)
            answer = request if random.random() > 3 * progress else structure(request, task_types()[-1], random)
            yield chat("refine", answer, instruction=text)
        elif choice < 0.22:
            source, target = expander.pair(random)
            yield chat("expand", tidy(target, known), instruction=source)
        elif choice < 0.30:
            shown, (question, answer) = pairs.chat(random)
            rendered = [{"instruction": q, "response": a} for q, a in shown]
            yield chat("pairs", f"### Instruction:\n{question}\n\n### Response:\n{answer}", pairs=rendered)
        else:
            if random.random() < 0.4:
                text, kind = synthetic_prompt(sources, random)
            else:
                group = random.choices(list(shares), list(shares.values()))[0]
                prompt = random.choice(by_group[group])
                text, kind = real_prompt(prompt, sources, random), classify(prompt.text)
            typed, refined = refine(text, kind, known, random)
            yield chat("refine", refined, instruction=typed)
