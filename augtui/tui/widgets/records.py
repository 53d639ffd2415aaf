"""A table of records of any number: only the pages that are seen are ever in memory."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from functools import partial
from typing import ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from augtui.domain.visible import excerpt
from augtui.errors import AugtuiError
from augtui.store import listings
from augtui.store.listings import STRIDE, Listing, RecordRow
from augtui.tui.reader import Lane
from augtui.tui.tasks import spawn

PAGES = 48
"""Pages that are kept, which is 12,000 rows."""
NUMBER, TASK, STATE, LANGUAGE = 9, 11, 16, 5
"""Cells of the columns of fixed width."""
NARROW = 70
"""Below this width they are smaller: the text comes first."""
LOADING = "…"
NOTHING = "Nothing is found. esc shows all records."


class RecordsTable(ScrollView, can_focus=True):
    """Lists records; the arrow keys, Home and End go to any of them in one step."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "records--header",
        "records--cursor",
        "records--quiet",
        "records--good",
        "records--kept",
        "records--bad",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="records.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="records.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="records.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="records.page_up"),
        Binding("home,g", "go(0)", "First", show=False, id="records.first"),
        Binding("end,G", "go(-1)", "Last", show=False, id="records.last"),
        Binding("enter", "open", "Open", show=False, id="records.open"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Highlighted(Message):
        """The cursor stands on another record."""

        def __init__(self, row: RecordRow | None) -> None:
            """Carry the record; None where there is none."""
            super().__init__()
            self.row = row

    class Opened(Message):
        """The record under the cursor is to be opened."""

        def __init__(self, row: RecordRow) -> None:
            """Carry the record."""
            super().__init__()
            self.row = row

    class Broken(Message):
        """A page could not be read."""

        def __init__(self, error: Exception) -> None:
            """Carry the error."""
            super().__init__()
            self.error = error

    def __init__(self, *, id: str | None = None) -> None:
        """Show nothing yet."""
        super().__init__(id=id)
        self._listing: Listing | None = None
        self._lane: Lane | None = None
        self._pages: OrderedDict[int, list[RecordRow]] = OrderedDict()
        self._wanted: set[int] = set()
        self._generation = 0
        self._read_in: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Return the number of records in the list."""
        return 0 if self._listing is None else self._listing.total

    @property
    def row(self) -> RecordRow | None:
        """Return the record under the cursor, None while it is not read."""
        return self._row(self.cursor)

    def show(self, lane: Lane, listing: Listing, *, keep_place: bool = False) -> None:
        """Show a list, its pages read through `lane`; `keep_place` leaves cursor and scroll where they are.

        Pages on screen stay until their new versions are read, so that nothing flickers.
        """
        self._lane, self._listing = lane, listing
        self._generation += 1
        self._wanted.clear()
        if not keep_place:
            self._pages.clear()
            self.scroll_to(y=0, animate=False)
            self.set_reactive(RecordsTable.cursor, 0)
        self.virtual_size = Size(0, listing.total + 1)
        if self.cursor >= max(1, listing.total):
            self.cursor = max(0, listing.total - 1)
        seen = self._seen()
        for number in [number for number in self._pages if number not in seen]:
            del self._pages[number]
        for number in seen:
            self._fetch(number)
        if not listing.total:
            self._pages.clear()
            self.post_message(self.Highlighted(None))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line: the header, or a record."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header(width)
        index = self.scroll_offset.y + y - 1
        base = self.rich_style
        if index >= self.total:
            if y == 2 and self._listing is not None and not self.total:
                quiet = self.get_component_rich_style("records--quiet")
                return Strip([Segment(set_cell_size(f" {NOTHING}", width), quiet)], width)
            return Strip([Segment(" " * width, base)], width)
        return self._line(index, width, base)

    def watch_cursor(self, before: int, now: int) -> None:
        """Bring the cursor's record on screen and tell of it."""
        self._refresh_row(before)
        self._refresh_row(now)
        self._show_cursor()
        self._fetch(now // STRIDE)
        self.post_message(self.Highlighted(self._row(now)))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Read what has come on screen, and what will be next."""
        super().watch_scroll_y(old_value, new_value)
        for number in self._seen():
            self._fetch(number)

    def action_move(self, by: int) -> None:
        """Move the cursor by some records."""
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by some screens."""
        self._go(self.cursor + by * max(1, self._height - 1))

    def action_go(self, index: int) -> None:
        """Move the cursor to a record of the list, counted from the end where negative."""
        self._go(index if index >= 0 else self.total + index)

    def action_open(self) -> None:
        """Open the record under the cursor."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the record that was clicked; open it the second time."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y == 0:
            return
        index = self.scroll_offset.y + offset.y - 1
        if index < self.total:
            self._go(index)
            if event.chain == 2:
                self.action_open()

    def on_resize(self) -> None:
        """Keep the cursor on screen."""
        self._show_cursor()

    @property
    def _height(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    def _go(self, index: int) -> None:
        if self.total:
            self.cursor = min(max(0, index), self.total - 1)

    def _show_cursor(self) -> None:
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + self._height:
            self.scroll_to(y=self.cursor - self._height + 1, animate=False, immediate=True)

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + 1
        if 1 <= y <= self._height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _row(self, index: int) -> RecordRow | None:
        rows = self._pages.get(index // STRIDE)
        place = index % STRIDE
        return rows[place] if rows is not None and place < len(rows) else None

    def _seen(self) -> list[int]:
        """Return the pages on screen and the next one each way."""
        if self._listing is None:
            return []
        first = max(0, self.scroll_offset.y // STRIDE)
        last = (self.scroll_offset.y + self._height) // STRIDE
        near = [*range(first, last + 1), last + 1, first - 1]
        return [number for number in near if 0 <= number < self._listing.pages]

    def _fetch(self, number: int) -> None:
        is_fresh = number in self._pages and self._read_in.get(number) == self._generation
        if is_fresh or number in self._wanted or self._lane is None or self._listing is None:
            return
        self._wanted.add(number)
        spawn(self, partial(self._read, self._lane, self._listing, number, self._generation))

    async def _read(self, lane: Lane, listing: Listing, number: int, generation: int) -> None:
        try:
            rows = await lane.ask(listings.page, listing, number)
        except (AugtuiError, sqlite3.Error) as error:
            self.post_message(self.Broken(error))
            return
        finally:
            if generation == self._generation:
                self._wanted.discard(number)
        if generation != self._generation:
            return
        self._pages[number] = rows
        self._pages.move_to_end(number)
        self._read_in[number] = generation
        while len(self._pages) > PAGES:
            gone, _ = self._pages.popitem(last=False)
            self._read_in.pop(gone, None)
        if number in self._seen():
            self.refresh()
        if self.cursor // STRIDE == number:
            self.post_message(self.Highlighted(self._row(self.cursor)))

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("records--header")
        number, task, state = _columns(width)
        cells = [("record"[: number - 1], number), ("task", task), ("instruction", self._text_width(width))]
        if self._shows_language(width):
            cells.append(("lang", LANGUAGE))
        cells.append(("state", state))
        return Strip([Segment(set_cell_size(f" {text}", size), style) for text, size in cells], width).crop(0, width)

    def _line(self, index: int, width: int, base: Style) -> Strip:
        row = self._row(index)
        is_cursor = index == self.cursor
        under = self.get_component_rich_style("records--cursor") if is_cursor else base
        quiet = under if is_cursor else self.get_component_rich_style("records--quiet")
        text_width = self._text_width(width)
        if row is None:
            segments = [Segment(set_cell_size(f" {index + 1:,} {LOADING}", width), quiet)]
            return Strip(segments, width)
        number_width, task_width, state_width = _columns(width)
        state = row.state.replace("_", " ")
        kind = _KINDS.get(row.state)
        state_style = under if is_cursor or kind is None else self.get_component_rich_style(kind)
        segments = [
            Segment(set_cell_size(f" {row.number:>{number_width - 2}}", number_width), quiet),
            Segment(set_cell_size(f" {excerpt(row.task or '', task_width - 2)}", task_width), quiet),
            Segment(set_cell_size(f" {excerpt(row.instruction, text_width - 2)}", text_width), under),
        ]
        if self._shows_language(width):
            segments.append(Segment(set_cell_size(f" {excerpt(row.language or '', LANGUAGE - 1)}", LANGUAGE), quiet))
        segments.append(Segment(set_cell_size(f" {excerpt(state, state_width - 2)}", state_width), state_style))
        return Strip(segments).adjust_cell_length(width, under)

    def _shows_language(self, width: int) -> bool:
        return width >= 100

    def _text_width(self, width: int) -> int:
        language = LANGUAGE if self._shows_language(width) else 0
        return max(10, width - sum(_columns(width)) - language)


def _columns(width: int) -> tuple[int, int, int]:
    """Return the cells of number, task and state in a table of some width."""
    return (8, 8, 11) if width < NARROW else (NUMBER, TASK, STATE)


_KINDS = {
    "accepted": "records--good",
    "edited": "records--good",
    "made": "records--good",
    "kept_original": "records--kept",
    "pending": "records--kept",
    "failed": "records--bad",
    "rejected": "records--bad",
}
