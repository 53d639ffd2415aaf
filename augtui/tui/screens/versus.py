"""Two models' answers to the same prompts, side by side with what differs, and the figures of both above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from augtui.domain.visible import excerpt, visible
from augtui.errors import AugtuiError
from augtui.pipelines import versus
from augtui.pipelines.export import WholeFile
from augtui.tui.screens.dialogs import Dialog
from augtui.tui.text import Piece, assemble, line, plain, sides
from augtui.tui.widgets.keys import KeyLine

MARKS = {
    "accepted": ("✓", "$success"),
    "rejected": ("✗", "$error"),
    "unparsed": ("?", "$warning"),
    "failed": ("!", "$error"),
}


class Versus(Dialog[None]):
    """Shows a saved comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "export", "Export", id="versus.export"),
        Binding("f", "filter", "Differing only", id="versus.filter"),
        Binding("q", "leave", "Close", show=False, id="versus.quit"),
    ]

    def __init__(self, path: Path) -> None:
        """Read the comparison. Raises InputError where the file is none."""
        super().__init__()
        self._path = path
        self._found = versus.read(path)
        self._only_differing = False
        self._listed: list[dict[str, Any]] = []

    def compose(self) -> ComposeResult:
        """Put the figures above the list of prompts, and both answers beside it."""
        found = self._found
        with Vertical(classes="dialog versus") as box:
            box.border_title = Content(
                f"{excerpt(str(found['before']['name']), 30)} → {excerpt(str(found['after']['name']), 30)}"
                f" · {excerpt(str(found['task']), 20)}"
            )
            yield Static(_figures(found), id="versus-figures", markup=False)
            with Horizontal(id="versus-texts"):
                with Vertical(classes="pane", id="versus-prompts") as pane:
                    pane.border_title = "prompts"
                    yield OptionList(id="pairs", markup=False, compact=True)
                with VerticalScroll(classes="pane", can_focus=True) as pane:
                    pane.border_title = "before"
                    yield Static(id="versus-before", markup=False)
                with VerticalScroll(classes="pane", can_focus=True) as pane:
                    pane.border_title = "after"
                    yield Static(id="versus-after", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """List the prompts."""
        self._list()
        self.query_one("#pairs").focus()

    def _list(self) -> None:
        pairs = self._found["pairs"]
        self._listed = [pair for pair in pairs if not self._only_differing or _differs(pair)]
        options = self.query_one("#pairs", OptionList)
        options.clear_options()
        options.add_options(Option(_pair(pair)) for pair in self._listed)
        options.highlighted = 0 if self._listed else None
        self.query_one("#versus-prompts").border_subtitle = f"{len(self._listed):,} of {len(pairs):,}"
        if not self._listed:
            self.query_one("#versus-before", Static).update("No answer differs.")
            self.query_one("#versus-after", Static).update("")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show both answers to the prompt."""
        pair = self._listed[event.option_index]
        left, right = sides(str(pair["before"]["text"]), str(pair["after"]["text"]))
        for name, said, text in (("before", pair["before"], left), ("after", pair["after"], right)):
            shown = self.query_one(f"#versus-{name}", Static)
            shown.update(assemble([plain(str(pair["prompt"]), style="$foreground-muted"), "\n\n", text, *_said(said)]))

    def action_filter(self) -> None:
        """List only the prompts whose answers or outcomes differ, or all of them again."""
        self._only_differing = not self._only_differing
        self._list()

    def action_export(self) -> None:
        """Write the comparison as JSON and as Markdown into the present folder."""
        try:
            page, values = versus.markdown(self._found) + "\n", self._path.read_text("utf-8")
            for suffix, text in ((".md", page), (".json", values)):
                with WholeFile(Path.cwd() / f"{self._path.stem}{suffix}") as file:
                    file.write(text)
        except (OSError, AugtuiError) as error:
            message = error.message if isinstance(error, AugtuiError) else str(error)
            self.notify(visible(message), severity="error", markup=False)
            return
        self.notify(f"Wrote {visible(self._path.stem)}.md and .json to {visible(str(Path.cwd()))}.", markup=False)


def _differs(pair: dict[str, Any]) -> bool:
    return any(pair["before"][name] != pair["after"][name] for name in ("text", "outcome"))


def _pair(pair: dict[str, Any]) -> Content:
    old, new = (MARKS.get(str(pair[side]["outcome"]), ("·", "")) for side in ("before", "after"))
    equal = ("=", "$foreground-muted") if pair["before"]["text"] == pair["after"]["text"] else ("≠", "$accent")
    return assemble([old, new, " ", equal, " ", line(str(pair["prompt"]), 25)])


def _said(said: dict[str, Any]) -> list[Piece | Content]:
    mark, style = MARKS.get(str(said["outcome"]), ("·", ""))
    kept = "" if said["words_kept"] is None else f" · words kept {100 * said['words_kept']:.0f}%"
    reason = f": {excerpt(str(said['reason']), 80)}" if said["reason"] else ""
    return [
        "\n\n",
        (f"{mark} {excerpt(str(said['outcome']), 12)}{reason}\n", style),
        (f"{said['words']} words{kept} · {said['tokens']} tok", "$foreground-muted"),
    ]


def _figures(found: dict[str, Any]) -> Content:
    rows = versus.figures(found)[1:]
    pieces: list[Piece | Content] = [(f"{'':<18}{'before':>18}{'after':>18}\n", "$foreground-muted")]
    for name, old, new in rows:
        pieces += [(f"{name:<18}", "$foreground-muted"), f"{excerpt(old, 17):>18}{excerpt(new, 17):>18}\n"]
    pieces.append(
        (
            f"lost {found['lost']} · won {found['won']} · p {found['p_value']:.3g}"
            f" · same text {found['same']} of {len(found['pairs'])} · ROUGE-L {found['rouge_l']:.3f}",
            "",
        )
    )
    return assemble(pieces)
