"""The batching engine on the real library and the default model, in this process."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import gguf
import llama_cpp as lib
import numpy as np
import pytest

from augtui.domain.tasks import REFINE
from augtui.domain.templates import Message
from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Failure,
    Outcome,
    Request,
    Sampling,
    Score,
    ScoreRequest,
    Work,
)
from augtui.engines.llama import loading
from augtui.engines.llama.batcher import Batcher
from augtui.engines.options import EngineOptions

WORDS = ["plan", "write", "explain", "garden", "travel", "river", "history", "budget", "student", "music", "energy"]
TOPICS = ["trees", "the moon", "bread", "chess", "rivers", "trains", "glass", "honey", "tides", "maps", "salt", "owls"]
GREEDY = Sampling(temperature=0, max_tokens=40)


def prompt(text: str) -> tuple[Message, ...]:
    # As the default model is asked: with the kind of the prompt before it.
    return REFINE.template("specialised", "hinted").render(kind="general", instruction=text)


def loaded(path: Path, **options: object) -> Batcher:
    engine = loading.load(path, EngineOptions(**{"slots": 4, "sequence_tokens": 768, **options}))  # type: ignore[arg-type]
    assert isinstance(engine, Batcher)
    OPEN.append(engine)
    return engine


OPEN: list[Batcher] = []


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """Whatever a test loads is freed after it."""
    yield
    while OPEN:
        OPEN.pop().close()


def outcomes(engine: Batcher, work: list[Work]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for piece in work:
        failure = engine.submit(piece)
        if failure is not None:
            found[piece.id] = failure
    while engine.busy:
        for outcome in engine.step():
            assert outcome.id not in found
            found[outcome.id] = outcome
    used = engine.progress(0)
    assert used.active == used.waiting == 0
    assert used.context_used == engine._prefixes.held
    return found


def texts(found: dict[str, Outcome]) -> dict[str, str]:
    assert all(isinstance(outcome, Completion) for outcome in found.values())
    return {name: outcome.text for name, outcome in found.items() if isinstance(outcome, Completion)}


def long_prompts(count: int) -> list[Request]:
    """Requests whose answers repeat much of their prompts."""
    draw = random.Random(11)
    made = []
    for number in range(count):
        names = ", ".join(" ".join(draw.choices(WORDS, k=3)) for _ in range(6))
        made.append(Request(str(number), prompt(f"Write a story about {draw.choice(TOPICS)} with: {names}."), number))
    return made


# -- speculation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_speculation_changes_no_text_of_a_single_sequence(default_model: Path, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=64)
    work: list[Work] = [Request(r.id, r.messages, r.seed, sampling) for r in long_prompts(6)]
    plain = outcomes(loaded(default_model, slots=1, speculate=False), work)
    engine = loaded(default_model, slots=1)
    speculated = outcomes(engine, work)
    assert texts(plain) == texts(speculated)
    completions = [outcome for outcome in speculated.values() if isinstance(outcome, Completion)]
    confirmed = sum(done.confirmed_tokens for done in completions)
    assert 0 < confirmed <= sum(done.drafted_tokens for done in completions)
    assert confirmed < sum(done.completion_tokens for done in completions)
    assert all(isinstance(done, Completion) and done.drafted_tokens == 0 for done in plain.values())
    steps = engine.timing.steps
    assert steps < sum(done.completion_tokens for done in completions)


def test_answers_end_at_their_limit_and_at_stop_strings_inside_a_draft(default_model: Path) -> None:
    engine = loaded(default_model, slots=1)
    for limit in (1, 2, 7, 33):
        work = [Request("a", long_prompts(1)[0].messages, 0, Sampling(temperature=0, max_tokens=limit))]
        done = outcomes(engine, list(work))["a"]
        assert isinstance(done, Completion)
        assert done.completion_tokens <= limit
    whole = texts(outcomes(engine, [Request("a", long_prompts(1)[0].messages, 0, GREEDY)]))["a"]
    stop = whole[len(whole) // 2 :][:4]
    cut = outcomes(engine, [Request("a", long_prompts(1)[0].messages, 0, Sampling(0.0, max_tokens=40, stop=(stop,)))])
    assert texts(cut)["a"] == whole[: whole.index(stop)]


# -- prefixes --------------------------------------------------------------------------------------------------------


def test_many_answers_to_one_prompt_compute_it_once(default_model: Path) -> None:
    engine = loaded(default_model)
    messages = prompt("Explain how tides work to a child who has never seen the sea, with two examples.")
    sampling = Sampling(temperature=0.8, max_tokens=24)
    found = outcomes(engine, [Request(str(seed), messages, seed, sampling) for seed in range(10)])
    completions = [outcome for outcome in found.values() if isinstance(outcome, Completion)]
    length = completions[0].prompt_tokens
    assert sum(done.shared_tokens == length - 1 for done in completions) == 9
    assert engine.prompt_tokens == length + 9
    assert len(set(texts(found).values())) > 1


def test_prompts_with_common_examples_compute_them_once(default_model: Path) -> None:
    engine = loaded(default_model)
    examples = [" ".join(random.Random(group).choices(WORDS, k=40)) for group in range(3)]
    sampling = Sampling(temperature=0, max_tokens=4)
    work: list[Work] = [
        Request(f"{group}.{number}", prompt(f"{examples[group]} Now write about {topic}."), 0, sampling)
        for group in range(3)
        for number, topic in enumerate(TOPICS[:6])
    ]
    found = outcomes(engine, work)
    completions = [outcome for outcome in found.values() if isinstance(outcome, Completion)]
    # At most the first of each group, and what was admitted beside it, computed the examples.
    assert sum(done.shared_tokens >= 40 for done in completions) >= 18 - 3
    alone = {name: text for piece in work for name, text in texts(outcomes(loaded(default_model), [piece])).items()}
    same = sum(alone[name] == text for name, text in texts(found).items())
    assert same >= 17  # sums in another order may turn a near tie


def test_a_full_cache_gives_up_prefixes_rather_than_work(default_model: Path) -> None:
    engine = loaded(default_model, cells=512, sequence_tokens=500)
    draw = random.Random(2)
    sampling = Sampling(temperature=0, max_tokens=8)
    work: list[Work] = []
    for number in range(30):
        text = " ".join(draw.choices(WORDS, k=draw.choice([5, 60, 150])))
        work += [Request(f"{number}.{copy}", prompt(text), copy, sampling) for copy in range(2)]
    found = outcomes(engine, work)
    assert all(isinstance(outcome, Completion | Failure) for outcome in found.values())
    assert len(found) == 60
    assert sum(isinstance(outcome, Completion) for outcome in found.values()) >= 40
    assert all(outcome.code == "context overflow" for outcome in found.values() if isinstance(outcome, Failure))


def test_a_short_prompt_is_not_kept_waiting_by_long_ones_for_ever(default_model: Path) -> None:
    engine = loaded(default_model, slots=1)
    sampling = Sampling(temperature=0, max_tokens=1)
    engine.submit(Request("short", prompt("Hi"), 0, sampling))
    for number in range(60):
        engine.submit(Request(str(number), prompt(" ".join(WORDS) + f" {number}"), 0, sampling))
        engine.submit(Request(f"{number}b", prompt(" ".join(WORDS) + f" {number} b"), 0, sampling))
        ended: list[Outcome] = []
        while not ended:
            ended = list(engine.step())
        if ended[0].id == "short":
            break
    assert 0 < number < 20


# -- scores and embeddings -------------------------------------------------------------------------------------------


def log_softmax(logits: np.ndarray, token: int) -> float:  # type: ignore[type-arg]
    wide = logits.astype(np.float64)
    return float(wide[token] - wide.max() - math.log(np.exp(wide - wide.max()).sum()))


def expected_score(engine: Batcher, tokens: list[int], first: int) -> list[float]:
    """Compute a text in one go in an empty cache, and read how likely its tokens from `first` on are."""
    context = engine.context
    context.clear()
    context.clear_batch()
    for position, token in enumerate(tokens):
        context.add(token, position, 0, output=position >= first - 1)
    context.decode()
    return [log_softmax(context.logits(place), tokens[place + 1]) for place in range(first - 1, len(tokens) - 1)]


def test_a_score_is_the_likelihood_of_the_answer_with_and_without_its_instruction(default_model: Path) -> None:
    engine = loaded(default_model, deterministic=True)
    question, answer = prompt("Write about bread."), "Write about bread. Be clear and precise."
    work: list[Work] = [ScoreRequest("a", question, answer), ScoreRequest("b", question, "Bread")]
    work += [ScoreRequest(f"c{n}", question, " ".join(WORDS[: n + 1])) for n in range(10)]
    work += [Request("d", question, 0, GREEDY)]
    found = outcomes(engine, work)
    score = found["a"]
    assert isinstance(score, Score)
    tokens = engine.weights.tokenize(answer)
    begun = engine._intake._encode(ScoreRequest("", question, answer))
    assert len(begun) + len(tokens) < 64
    assert score.given == pytest.approx(expected_score(engine, begun + tokens, len(begun)), abs=1e-6)
    assert score.alone == pytest.approx(expected_score(engine, tokens, 1), abs=1e-6)
    assert len(score.given) == len(tokens) == len(score.alone) + 1
    assert score.prompt_tokens == len(begun)
    assert all(isinstance(found[f"c{n}"], Score) for n in range(10))
    # An answer is likelier where it was asked for.
    assert sum(score.given[1:]) > sum(score.alone)


def test_texts_with_a_common_beginning_are_scored_and_embedded_whole(default_model: Path) -> None:
    engine = loaded(default_model)
    question = prompt("Write about bread and how it is made at home.")
    answer = "Write a detailed text about bread, its history and its makers."
    longer = f"{answer} Explain each step in simple words."
    work: list[Work] = [ScoreRequest("a", question, answer), ScoreRequest("b", question, longer)]
    work += [ScoreRequest("again", question, answer), EmbedRequest("e", longer), EmbedRequest("f", longer)]
    work += [Request("r", question, 0, GREEDY)]
    found = outcomes(engine, work)
    for name, text in (("a", answer), ("b", longer), ("again", answer)):
        score = found[name]
        assert isinstance(score, Score)
        assert len(score.given) == len(score.alone) + 1 == len(engine.weights.tokenize(text))
    alone = outcomes(loaded(default_model), [ScoreRequest("a", question, answer), EmbedRequest("e", longer)])
    first, second = found["a"], alone["a"]
    assert isinstance(first, Score) and isinstance(second, Score)
    # Sums in another order move unlikely tokens a little.
    assert first.given == pytest.approx(second.given, abs=0.5)
    assert sum(first.alone) == pytest.approx(sum(second.alone), rel=0.02)
    vectors = [
        np.array(outcome.vector) for outcome in (found["e"], found["f"], alone["e"]) if isinstance(outcome, Embedding)
    ]
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=5e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(1, abs=5e-3)


def test_the_same_score_twice_at_a_time_is_refused(default_model: Path) -> None:
    engine = loaded(default_model)
    assert engine.submit(ScoreRequest("a", prompt("Hello"), "hello you")) is None
    second = engine.submit(ScoreRequest("a", prompt("Hello"), "hello you"))
    assert second is not None
    assert second.code == "bad request"


def test_an_answer_of_one_token_has_nothing_to_be_scored_alone(default_model: Path) -> None:
    engine = loaded(default_model)
    text = engine.weights.piece(300).decode()
    assert len(engine.weights.tokenize(text)) == 1
    score = outcomes(engine, [ScoreRequest("a", prompt("Hello"), text)])["a"]
    assert isinstance(score, Score)
    assert len(score.given) == 1
    assert score.alone == ()


def test_what_cannot_be_scored_or_embedded_fails_alone(default_model: Path) -> None:
    engine = loaded(default_model)
    long = " ".join(WORDS * 100)
    work: list[Work] = [
        ScoreRequest("empty", prompt("Hello"), ""),
        ScoreRequest("long", prompt("Hello"), long),
        EmbedRequest("nothing", ""),
        EmbedRequest("longer", long),
        Request("huge", prompt("a" * 3_000_000)),
        ScoreRequest("fine", prompt("Hello"), "hello"),
    ]
    found = outcomes(engine, work)
    codes = {name: outcome.code for name, outcome in found.items() if isinstance(outcome, Failure)}
    assert codes == {
        "empty": "bad request",
        "long": "context overflow",
        "nothing": "bad request",
        "longer": "context overflow",
        "huge": "context overflow",
    }
    assert isinstance(found["fine"], Score)


def test_embeddings_are_means_of_hidden_states_and_tell_texts_apart(default_model: Path) -> None:
    engine = loaded(default_model)
    sentences = {
        "bread": "How do I bake a loaf of bread at home?",
        "again": "How do I bake a loaf of bread at home?",
        "dough": "How can I bake bread at home?",
        "code": "def f(x): return {k: v for k, v in x.items()}",
        "long": " ".join(WORDS * 12),
    }
    work: list[Work] = [EmbedRequest(name, text) for name, text in sentences.items()]
    found = outcomes(engine, [*work, Request("answer", prompt("Write about bread."), 0, GREEDY)])
    vectors = {name: np.array(outcome.vector) for name, outcome in found.items() if isinstance(outcome, Embedding)}
    assert set(vectors) == set(sentences)
    assert all(np.linalg.norm(vector) == pytest.approx(1) for vector in vectors.values())
    assert vectors["bread"] @ vectors["again"] == pytest.approx(1, abs=1e-3)
    assert vectors["bread"] @ vectors["dough"] > vectors["bread"] @ vectors["code"]
    # The same, computed the plain way: a whole text in one decode, its hidden states averaged.
    tokens = engine.weights.prompt(sentences["dough"])
    context = engine.context
    context.clear_batch()
    for position, token in enumerate(tokens):
        context.add(token, position, 0, output=True)
    context.read_hidden_states(True)
    context.decode()
    mean = context.hidden_states().mean(axis=0)
    context.read_hidden_states(False)
    context.forget(0)
    assert vectors["dough"] @ (mean / np.linalg.norm(mean)) == pytest.approx(1, abs=1e-3)
    assert isinstance(found["answer"], Completion)


# -- grammars --------------------------------------------------------------------------------------------------------


def test_an_answer_follows_its_schema_and_its_neighbours_are_free(default_model: Path) -> None:
    engine = loaded(default_model, deterministic=True)  # the free one's text depends on no neighbour's rounding
    schema = json.dumps({
        "type": "object",
        "properties": {"score": {"enum": [1, 2, 3]}, "kind": {"enum": ["good", "bad"]}},
        "required": ["score", "kind"],
        "additionalProperties": False,
    })  # fmt: skip
    sampling = Sampling(temperature=1.0, max_tokens=60)
    work: list[Work] = [Request(str(n), prompt("Judge this."), n, sampling, schema=schema) for n in range(6)]
    work += [Request("grammar", prompt("Judge."), 1, sampling, grammar='root ::= ("ab" | "cd") "!"')]
    work += [Request("free", prompt("Write about bread."), 1, GREEDY)]
    work += [Request("wrong", prompt("Judge."), 1, sampling, schema="[")]
    found = outcomes(engine, work)
    for number in range(6):
        done = found[str(number)]
        assert isinstance(done, Completion)
        verdict = json.loads(done.text)
        assert verdict["score"] in (1, 2, 3)
        assert verdict["kind"] in ("good", "bad")
    assert texts({"grammar": found["grammar"]})["grammar"] in ("ab!", "cd!")
    wrong = found["wrong"]
    assert isinstance(wrong, Failure)
    assert wrong.code == "bad request"
    free = outcomes(
        loaded(default_model, deterministic=True), [Request("free", prompt("Write about bread."), 1, GREEDY)]
    )
    assert texts({"free": found["free"]}) == texts(free)


def test_a_grammar_that_leaves_nothing_ends_the_answer(default_model: Path) -> None:
    engine = loaded(default_model)
    absent = "\\U0001F9FF"
    sampling = Sampling(temperature=0.7, max_tokens=12)
    grammars = {"sigil": f'root ::= "a" [{absent}]', "short": 'root ::= "ab"'}
    work: list[Work] = [
        Request(name, prompt("Judge."), 1, sampling, grammar=grammar) for name, grammar in grammars.items()
    ]
    ignoring = Sampling(max_tokens=12, ignore_eos=True)
    work += [Request("endless", prompt("Judge."), 1, ignoring, grammar='root ::= "ab"')]
    found = outcomes(engine, work)
    assert texts({"short": found["short"]})["short"] == "ab"
    assert isinstance(found["sigil"], Completion)
    endless = found["endless"]
    assert isinstance(endless, Failure)
    assert endless.code == "bad request"


# -- adapters --------------------------------------------------------------------------------------------------------


def lora(path: Path, base: Path, strength: float) -> Path:
    """Write a GGUF LoRA adapter of rank 2 for the model's query projections."""
    reader = gguf.GGUFReader(base)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0)
    draw = np.random.default_rng(4)
    for tensor in reader.tensors:
        if tensor.name.endswith("attn_q.weight"):
            inner, outer = (int(size) for size in tensor.shape)
            writer.add_tensor(f"{tensor.name}.lora_a", draw.normal(0, 1, (2, inner)).astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", (draw.normal(0, strength, (outer, 2))).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_adapters_are_switched_on_one_base(default_model: Path, tmp_path: Path) -> None:
    adapters = {
        "none": lora(tmp_path / "none.gguf", default_model, 0.0),
        "much": lora(tmp_path / "much.gguf", default_model, 0.5),
    }
    # Otherwise a near tie between two tokens may turn with the company that an answer has.
    engine = loaded(default_model, adapters=adapters, deterministic=True)
    names = [None, "none", "much"]
    work: list[Work] = [
        Request(f"{name}:{topic}", prompt(f"Write about {topic}."), 0, GREEDY, adapter=name)
        for topic in TOPICS[:6]
        for name in names
    ]
    work += [ScoreRequest(f"score:{name}", prompt("Write."), "Write a text.", adapter=name) for name in names]
    found = outcomes(engine, work)
    answers = texts({name: outcome for name, outcome in found.items() if not name.startswith("score")})
    base = texts(
        outcomes(
            loaded(default_model, deterministic=True),
            [Request(topic, prompt(f"Write about {topic}."), 0, GREEDY) for topic in TOPICS[:6]],
        )
    )
    assert {topic: answers[f"None:{topic}"] for topic in base} == base
    assert {topic: answers[f"none:{topic}"] for topic in base} == base
    assert all(answers[f"much:{topic}"] != text for topic, text in base.items())
    scores = {name: found[f"score:{name}"] for name in names}
    assert all(isinstance(score, Score) for score in scores.values())
    assert scores[None].given == pytest.approx(scores["none"].given, rel=0.05)  # type: ignore[union-attr]
    assert scores[None].given != pytest.approx(scores["much"].given, rel=0.2)  # type: ignore[union-attr]
    unknown = outcomes(engine, [Request("x", prompt("Hi"), adapter="absent")])["x"]
    assert isinstance(unknown, Failure)
    assert "absent" in unknown.detail


# -- determinism -----------------------------------------------------------------------------------------------------


def test_in_the_deterministic_mode_a_text_depends_on_its_request_alone(default_model: Path) -> None:
    sampling = Sampling(temperature=0.9, max_tokens=40)
    requests = [Request(r.id, r.messages, r.seed, sampling) for r in long_prompts(20)]
    requests += [Request("long", prompt(" ".join(WORDS * 20)), 5, sampling)]
    seen = []
    for slots, cells in ((1, None), (7, 900), (32, None)):
        engine = loaded(default_model, slots=slots, cells=cells, deterministic=True)
        assert engine.model.slots == slots
        shuffled: list[Work] = list(requests)
        random.Random(slots).shuffle(shuffled)
        seen.append(texts(outcomes(engine, shuffled)))
    assert seen[0] == seen[1] == seen[2]


def test_scores_are_bit_for_bit_the_same_in_the_deterministic_mode(default_model: Path) -> None:
    work: list[Work] = [ScoreRequest(str(n), prompt(f"About {topic}."), topic * 3) for n, topic in enumerate(TOPICS)]
    one = outcomes(loaded(default_model, slots=1, deterministic=True), work)
    many = outcomes(loaded(default_model, slots=16, deterministic=True), work[::-1])
    assert one == many


@pytest.mark.parametrize("cache_type", ["q8_0", "q4_0"])
def test_a_quantized_cache_takes_less_memory_and_answers_much_the_same(default_model: Path, cache_type: str) -> None:
    usual, small = loaded(default_model), loaded(default_model, cache_type=cache_type)
    assert small.model.cache_bytes < 0.54 * usual.model.cache_bytes
    work: list[Work] = [Request(topic, prompt(f"Write about {topic}."), 0, GREEDY) for topic in TOPICS]
    expected, found = texts(outcomes(usual, work)), texts(outcomes(small, work))
    shared = [
        len(set(found[name].split()) & set(text.split())) / len(set(text.split())) for name, text in expected.items()
    ]
    assert sum(shared) / len(shared) > (0.8 if cache_type == "q8_0" else 0.5)


def test_cancelled_work_of_every_kind_frees_what_it_held(default_model: Path) -> None:
    engine = loaded(default_model)
    work: list[Work] = [
        Request(str(n), prompt("Write."), n, Sampling(max_tokens=200, ignore_eos=True)) for n in range(6)
    ]
    work += [ScoreRequest("score", prompt("Write."), " ".join(WORDS)), EmbedRequest("embed", " ".join(WORDS))]
    for piece in work:
        engine.submit(piece)
    for _ in range(3):
        engine.step()
    left = {piece.id for piece in work}
    failures = engine.cancel(left)
    assert all(failure.code == "cancelled" for failure in failures)
    assert len({failure.id for failure in failures}) == len(failures)
    assert not engine.busy
    assert engine._reserved == 0
    assert lib.llama_memory_seq_pos_max(engine.context.memory, 0) == -1
