"""F1: all keys of the screen that is seen and of the app, made from the bindings themselves."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from augtui.tui.text import assemble
from augtui.tui.widgets.keys import KeyLine


class Help(ModalScreen[None]):
    """A list of keys: what they do, and the names by which config.toml gives them other ones."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "app.pop_screen", "Close", id="help.close")]

    def compose(self) -> ComposeResult:
        """Show the keys."""
        with Vertical(classes="dialog tall") as box:
            box.border_title = "Keys"
            with VerticalScroll():
                yield Static(id="keys", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """List what the screen below offers now."""
        pieces: list[str | tuple[str, str] | Content] = []
        for title, bindings in _groups(self.app.screen_stack[-2]):
            pieces += [("\n" if pieces else "", ""), (f"{title}\n", "bold $accent")]
            for keys, binding in bindings:
                pieces += [
                    (f"  {keys:<18}", "$primary"),
                    f"{binding.description:<22}",
                    (f"{binding.id or ''}\n", "$foreground-muted"),
                ]
        pieces += [
            ("\nOther keys: ", "bold $accent"),
            'in config.toml, [keys] with "id" = "key,another key".\n',
        ]
        self.query_one("#keys", Static).update(assemble(pieces))
        self.query_one(VerticalScroll).focus()


def _groups(below: Screen[object]) -> list[tuple[str, list[tuple[str, Binding]]]]:
    """Return the bindings that hold now, by the widget that they belong to, ours alone, in the order of the sources."""
    groups: dict[str, dict[str, tuple[list[str], Binding]]] = {}
    for key, active in below.active_bindings.items():
        binding = active.binding
        if binding.id is None:
            continue
        title = _TITLES.get(binding.id.partition(".")[0], "Here")
        keys, _ = groups.setdefault(title, {}).setdefault(binding.id, ([], binding))
        keys.append(below.app.get_key_display(Binding(key, "")) if binding.key_display is None else binding.key_display)
    order = [*dict.fromkeys(_TITLES.values()), "Here"]
    found = sorted(groups.items(), key=lambda group: order.index(group[0]))
    return [(title, [("  ".join(keys), binding) for keys, binding in group.values()]) for title, group in found]


_TITLES = {
    "home": "Home",
    "batch": "Batch",
    "review": "Review",
    "models": "Models",
    "plots": "Plots",
    "training": "Training",
    "records": "Table",
    "app": "Everywhere",
}
