"""Texts to vectors, by an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from augtui.engines.base import Embedding, EmbedRequest, Engine, Failure
from augtui.errors import EngineError
from augtui.pipelines.decisions import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW: Final = 256
"""Texts that wait at the engine."""
POLL_S: Final = 0.1


def embedder(engine: Engine, progress: Progress) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return a function that gives texts their vectors, shape (texts, dimensions); equal texts are embedded once.

    It raises EngineError: the engine cannot embed, or not this text; ModelError if the model cannot be loaded.
    """

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        different = list(dict.fromkeys(texts))
        found: dict[str, tuple[float, ...]] = {}
        _ = engine.model
        sent = 0
        while len(found) < len(different):
            if sent < len(different) and sent - len(found) < WINDOW // 2:
                batch = different[sent : sent + WINDOW]
                engine.submit([EmbedRequest(str(sent + at), text) for at, text in enumerate(batch)])
                sent += len(batch)
            for event in engine.poll(POLL_S):
                if isinstance(event, Failure):
                    raise EngineError(
                        f"a text cannot be embedded: {event.code}: {event.detail}",
                        hint="Choose a model that embeds with --model, or another --method.",
                    )
                if isinstance(event, Embedding):
                    found[event.id] = event.vector
            progress(len(found), len(different))
        places = {text: str(number) for number, text in enumerate(different)}
        return np.array([found[places[text]] for text in texts], dtype=np.float32)

    return embed
