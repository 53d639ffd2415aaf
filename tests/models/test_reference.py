"""How a hub's model is named, in all the ways that people copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.errors import UsageError
from augtui.models import family, reference
from augtui.models.reference import parse

REFINE = ("mradermacher/Qwen2-1.5B-Instruct-Refine-GGUF", "alibaba-pai/Qwen2-1.5B-Instruct-Refine")


@pytest.mark.parametrize(
    ("text", "repos", "quantization", "revision"),
    [
        ("qwen2-1.5b-refine", REFINE, None, None),
        ("Qwen2-1.5B-Refine:Q8_0", REFINE, "Q8_0", None),
        ("qwen2-1.5b-refine@main", REFINE, None, "main"),
        ("hf:owner/repo", ("owner/repo",), None, None),
        ("hf:owner/repo:Q4_K_M@refs/pr/1", ("owner/repo",), "Q4_K_M", "refs/pr/1"),
        ("hf:owner/repo@v1:Q4_K_M", ("owner/repo",), "Q4_K_M", "v1"),
        ("hf://owner/repo", ("owner/repo",), None, None),
        ("owner/repo.name:model-Q8_0.gguf", ("owner/repo.name",), "model-Q8_0.gguf", None),
        ("hf.co/owner/repo:Q4_0", ("owner/repo",), "Q4_0", None),
        ("https://huggingface.co/owner/repo/tree/main", ("owner/repo",), None, "main"),
        ("https://huggingface.co/owner/repo/", ("owner/repo",), None, None),
    ],
)
def test_a_model_is_named(text: str, repos: tuple[str, ...], quantization: str | None, revision: str | None) -> None:
    found = parse(text)
    assert (found.repos, found.quantization, found.revision) == (repos, quantization, revision)


@pytest.mark.parametrize(
    "text",
    ["", "llama", "hf:", "hf:owner", "hf:../../etc", "hf:owner/..", "hf:a/b/c", "hf:a--b/c", "owner/repo:a b",
     "owner/repo@../x", "hf:owner/repo:\x1b[31m", "hf:-a/b"],
)  # fmt: skip
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text())
def test_no_text_makes_a_path_that_leaves_the_cache(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    for repo in found.repos:
        assert repo.count("/") == 1
        assert ".." not in repo
    assert ".." not in (found.revision or "")


def test_a_checkpoint_comes_from_its_own_repository() -> None:
    assert parse("qwen2-1.5b-refine", checkpoint=True).repos == ("alibaba-pai/Qwen2-1.5B-Instruct-Refine",)


def test_names_are_short_and_every_repository_finds_its_entry() -> None:
    assert parse("hf:Owner/My-Model-GGUF").name == "my-model"
    assert parse(f"hf:{REFINE[0]}").name == "qwen2-1.5b-refine"
    assert len({entry.name for entry in family.FAMILY}) == len(family.FAMILY)
    for entry in family.FAMILY:
        assert all(family.of_repo(repo) is entry for repo in (entry.repo, *entry.gguf))
        assert str(parse(entry.name)) == entry.name


def test_paths_and_servers_are_not_taken_for_models() -> None:
    for text in ("model.gguf", "./qwen2-1.5b-refine", "owner/repo", "http://127.0.0.1/v1#x", "default", "~/m.gguf"):
        assert not reference.looks_like(text)
    for text in ("hf:a/b", "qwen2-1.5b-refine:Q8_0", "https://huggingface.co/a/b"):
        assert reference.looks_like(text)
