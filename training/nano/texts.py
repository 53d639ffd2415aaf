"""What the rule teacher puts into prompts so that it must be copied: facts, code, links, attached texts, odd words."""

from __future__ import annotations

import re
import string
from random import Random

from augtui.domain.delexical import plain_words
from augtui.domain.language import Language
from training.nano.kinds import TaskType, fill, invent, task_types
from training.nano.sources import Sources

LONGEST_INPUT = 1800
"""Characters of an attached text."""
_KEYS = ("Name", "Date", "Place", "Price", "Title", "Author", "Email", "Phone", "Company", "Position", "Product",
         "Rating", "Topic", "Tone", "Audience", "Length", "Ingredients", "Time")  # fmt: skip
_LETTERS = "bcdfghjklmnprstvwz"


PLAIN = sorted(plain_words())


def rare_word(random: Random) -> str:
    """Return a word that no text holds, such as "Tovarim": what must be copied because it cannot be known."""
    word = "".join(random.choice(_LETTERS) + random.choice("aeiouy") for _ in range(random.randint(1, 4)))
    word += random.choice(("", "n", "r", "x", "rt", "ng", "s", "k"))
    return word.capitalize() if random.random() < 0.5 else word


def identifier(random: Random) -> str:
    """Return a made-up identifier, call, flag or path."""
    a, b = rare_word(random).lower(), random.choice(("user", "data", "count", "file", "index", "name", "list", "max"))
    return random.choice((
        f"{a}_{b}", f"get_{a}()", f"{a}{b.capitalize()}", f"--{a}-{b}", f"/{b}/{a}.py", f"{a}.{b}", f"`{a}({b})`",
        f"`{b}_{a}`", f"{b.upper()}_{a.upper()}", f"{a}.json", f"`{a} = {b}[0]`", f"{a}@{b}.com", f"#{a}",
        f"v{random.randint(0, 9)}.{random.randint(0, 20)}.{random.randint(0, 9)}",
    ))  # fmt: skip


def number(random: Random) -> str:
    """Return a number as people write them."""
    return random.choice((
        str(random.randint(2, 12)), str(random.randint(13, 9999)), f"{random.uniform(0, 99):.1f}",
        f"{random.randint(1, 999)},{random.randint(0, 999):03}", f"{random.randint(1, 99)}%",
        f"{random.randint(1, 12):02}:{random.randint(0, 59):02}", f"{random.randint(1900, 2030)}",
    ))  # fmt: skip


def variable(random: Random) -> str:
    """Return a template variable in one of the usual notations."""
    word = rare_word(random).lower()
    name = random.choice((word, f"{word}_name", "text", "topic", "news", "input", "question", "article", "user_name"))
    return random.choice(("${{" + name + "}}", "${{" + name + "}}", "{" + name + "}", "{{" + name + "}}"))


def link(random: Random) -> str:
    """Return a made-up address."""
    path = random.choice(("", rare_word(random).lower(), f"docs/{random.randint(1, 99)}",
                          f"{rare_word(random).lower()}.html?id={random.randint(1, 99)}"))  # fmt: skip
    return f"https://{rare_word(random).lower()}.{random.choice(('com', 'org', 'io', 'net'))}/{path}"


def detail(sources: Sources, random: Random) -> str:
    """Return a sentence with facts that must survive: a number, a variable, a link, a quotation, code or a name."""
    n, word, name, subject = number(random), rare_word(random), identifier(random), random.choice(sources.subjects)
    var = variable(random)
    plain = " ".join(random.choices(sources.words, k=random.randint(2, 5)))
    return random.choice((
        f"Use at most {n} words.", f"The limit is {n}.", f"Keep it under {n} characters.", f"My budget is ${n}.",
        f"Mention {subject} in the answer.", f"Use {var} as the input.", f"The text is {var}.",
        f"Here is the article: {var}", f"Use {name} for this.", f"The function is called {name}.",
        f"See {link(random)} for more.", f"The source is {link(random)}", f'Use the phrase "{word} {plain}".',
        f'The title is "{subject}".', f"My name is {word.capitalize()}.", f"Keep the placeholder {var} as it is.",
        f"It is for {word.capitalize()} and {subject}.", f"Write exactly {n} sentences.",
        f"The answer should be in {random.choice(('French', 'JSON', 'Markdown', 'CSV', 'English', 'one line'))}.",
        f"Do not mention {subject}.", f"Call it {word}.", f"Replace {var} with the name.", f"It costs {n} euros.",
        f"It is for my {random.choice(('boss', 'sister', 'class', 'team', 'son', 'friend'))} {word.capitalize()}.",
        f"The meeting is on {random.choice(('Monday', 'Friday', 'March 3', 'July 21'))} at {random.randint(1, 12)} pm.",
        f"I am {random.randint(8, 80)} years old.", f"Include {random.randint(2, 9)} examples.", "No explanations.",
        f"Start with {word} and end with {rare_word(random)}.", "Keep it short.", "Use simple words.",
        f"Make it about {plain}.", f"I already tried {plain} but it did not help.", f"Avoid the words {plain}.",
        f"The output must contain {plain} and {n}.", f"For example: {plain}.",
        f"Note that {random.choice(sources.sentences)}",
        f"Please {random.choice(('respond', 'answer'))} as if I were {random.choice(('a child', 'an expert'))}.",
    ))  # fmt: skip


def detail_zh(sources: Sources, random: Random) -> str:
    """Return a Chinese sentence with a fact that must survive."""
    n, subject = number(random), random.choice(sources.subjects_zh)
    var = variable(random)
    return random.choice((
        f"不超过{n}字。", f"字数在{n}字左右。", f"预算是{n}元。", f"请提到{subject}。", f"请使用变量{var}。",
        f"内容如下：{var}", f"函数名是{identifier(random)}。", f"参考{link(random)}", f"标题是《{subject}》。",
        f"我叫{subject[:3]}。", f"请给出{random.randint(2, 9)}个例子。", "不要解释。", "语言要幽默。",
        "请用简单的语言。",
        f"不要提到{subject}。", f"时间是{random.randint(1, 12)}月{random.randint(1, 28)}日。", "面向小学生。",
        f"保留占位符{var}。", f"关键词：{subject}、{random.choice(sources.subjects_zh)}。",
    ))  # fmt: skip


def code_block(random: Random) -> str:
    """Return a short made-up program, whose layout must be carried over line by line."""
    f, x, y = (rare_word(random).lower() for _ in range(3))
    n = random.randint(0, 99)
    return random.choice((
        f"def {f}({x}, {y}):\n    return {x} + {y} * {n}", f"for {x} in range({n}):\n    print({x}, {y})",
        f"SELECT {x}, {y} FROM {f} WHERE {x} > {n};", f"function {f}({x}) {{\n  return {x}.{y}({n});\n}}",
        f"let {x} = {f}({n});\nif ({x} == {y}) {{\n  {y}++;\n}}", f'<div class="{f}">\n  <p>{x}</p>\n</div>',
        f'{{"{x}": {n}, "{y}": "{f}"}}', f"{f} --{x} {n} | grep {y} > {x}.txt", f"{x} = [{n}, {n + 3}]\n{f}({x})[{y}]",
        f"try:\n    {f}.{x}()\nexcept ValueError:\n    {y} = {n}", f"import {f}\n\n{x} = {f}.{y}({n})\nprint({x})",
        f"class {f.capitalize()}:\n    def __init__(self, {x}):\n        self.{x} = {x}\n        self.{y} = {n}",
        f"while {x} < {n}:\n    {x} += 1\n    if {x} == {y}:\n        break",
        f"public int {f}(int {x}) {{\n    return {x} % {n};\n}}", f"```python\n{x} = {f}({y})\n```",
        f"git commit -m '{f} {x}'\ngit push origin {y}",
    ))  # fmt: skip


def passage(sentences: list[str], random: Random, longest: int = LONGEST_INPUT) -> str:
    """Return neighbouring sentences of a corpus: mostly one to three, now and then as many as fit."""
    wanted = random.choice((1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 7, 12))
    start = random.randrange(max(1, len(sentences) - wanted))
    text = ""
    for sentence in sentences[start : start + wanted]:
        if len(text) + len(sentence) > longest:
            break
        text += (" " if text and sentence[:1].isascii() else "") + sentence
    return text or sentences[start][:longest]


def attachment(sources: Sources, random: Random) -> str:
    """Return a text that a prompt could work on: prose, a list, a table, a form, a dialogue, code."""
    chance = random.random()
    many = random.randint(2, 7)

    def some() -> str:
        return " ".join(random.choices(sources.words, k=random.randint(1, 4)))

    if chance < 0.5:
        text = passage(sources.sentences, random)
        return f'"{text}"' if random.random() < 0.15 and '"' not in text else text
    if chance < 0.58:
        return random.choice((", ", "\n", "; ", "\n- ")).join(some() for _ in range(many))
    if chance < 0.64:
        return "\n".join(",".join((some(), number(random).replace(",", ""), some())) for _ in range(many))
    if chance < 0.72:
        makers = (some, lambda: number(random), lambda: random.choice(sources.subjects), lambda: identifier(random))
        return "\n".join(f"{key}: {random.choice(makers)()}" for key in random.sample(_KEYS, min(many, 6)))
    if chance < 0.78:
        names = (rare_word(random).capitalize(), rare_word(random).capitalize())
        marks = random.choice(
            ((f"{names[0]}: ", f"{names[1]}: "), ("+ ", "- "), ("Q: ", "A: "), ("> ", ""), ("- ", "- "))
        )
        return "\n".join(f"{marks[i % 2]}{random.choice(sources.sentences)}" for i in range(min(many, 5)))
    if chance < 0.9:
        return "\n\n".join(code_block(random) for _ in range(random.choice((1, 1, 2, 3))))
    if chance < 0.95:
        return "\n".join(f"{i}. {random.choice(sources.sentences)}" for i in range(1, min(many, 5)))
    spoken = [fill(random.choice(("{sentence}", "{opinion}", "{problem}")), Language.EN, random) for _ in range(many)]
    return " ".join(spoken)


def synthetic_prompt(sources: Sources, random: Random) -> tuple[str, TaskType]:
    """Return an English prompt and its task type: a form with a known, real or made-up subject, and details."""
    kind = random.choice(task_types())
    chance = random.random()
    form = random.choice(kind.forms)
    if chance < 0.45:
        text = invent(kind, Language.EN, random, form)
    else:
        if chance < 0.72:
            subject = random.choice(sources.subjects)
        elif chance < 0.88:
            subject = " ".join(random.choices(sources.words, k=random.randint(1, 3)))
        elif chance < 0.95:
            subject = " ".join(rare_word(random) for _ in range(random.randint(1, 3)))
        else:
            subject = identifier(random)
        bare = subject.replace("{", "").replace("}", "")
        text = fill(form.replace("{s}", bare).replace("{t}", "{activity}"), Language.EN, random)
    return text, kind


def synthetic_prompt_zh(sources: Sources, random: Random) -> tuple[str, TaskType]:
    """Return a Chinese prompt and its task type."""
    kind = random.choice(task_types(Language.ZH))
    form = random.choice(kind.forms)
    if random.random() < 0.5:
        return invent(kind, Language.ZH, random, form), kind
    subject = random.choice(sources.subjects_zh)
    return fill(form.replace("{s}", subject.replace("{", "").replace("}", "")), Language.ZH, random), kind


def copy_text(sources: Sources, random: Random) -> str:
    """Return a text of no meaning to be copied: rare words, identifiers, characters or mixed sentences."""
    chance = random.random()
    if chance < 0.2:
        # Names between plain words, as many as a prompt may have.
        words = random.choices(PLAIN, k=random.randint(4, 24))
        return " ".join(rare_word(random) if random.random() < 0.4 else word for word in words)
    if chance < 0.3:
        makers = (identifier, rare_word, number, variable, link)
        return " ".join(random.choice(makers)(random) for _ in range(random.randint(2, 10)))
    if chance < 0.38:
        alphabet = string.ascii_letters + string.digits + string.punctuation
        return " ".join("".join(random.choices(alphabet, k=random.randint(2, 9))) for _ in range(random.randint(2, 8)))
    if chance < 0.7:
        # Every word equally often, so that every token's embedding learns to be copied.
        return " ".join(random.choices(PLAIN, k=random.randint(4, 30)))
    if chance < 0.82 and sources.characters:
        return "".join(random.choices(sources.characters, k=random.randint(6, 50)))
    words = " ".join(random.choice(sources.sentences) for _ in range(3)).split()
    random.shuffle(words)
    return " ".join(words[: random.randint(5, 60)])


def typeset(text: str, random: Random) -> str:
    """Return the text with other quotation marks and dashes, symbols, or spaces too many: what must be kept, too."""
    chance = random.random()
    if chance < 0.5:
        text = re.sub(r'"([^"\n]*)"', r"“\1”", text.replace("'", "’"))
        return text.replace(" - ", random.choice((" – ", " — ", "—")))
    if chance < 0.75:
        symbols = "°€£™©®±≥≤≠→←∀∃∈√∞•…éüñöçßøåλπΔ½²✓★😀👍🎉"
        words = text.split(" ")
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(words))
            words[place] += random.choice(symbols)
        return " ".join(words)
    return re.sub(r"(?<=[a-z.,]) (?=[a-z])", lambda _: "  " if random.random() < 0.1 else " ", text)


def mistype(text: str, random: Random) -> str:
    """Return the text with one or two longer words misspelt: two letters swapped, or one dropped or doubled."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if re.fullmatch(r"[a-z]{5,}", word)]
    for place in random.sample(places, min(len(places), random.randint(1, 2))):
        word, at = words[place], random.randint(1, len(words[place]) - 3)
        words[place] = random.choice((
            word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        ))  # fmt: skip
    return " ".join(words)
