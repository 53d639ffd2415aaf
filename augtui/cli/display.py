"""What a run shows while it works: results on stdout, progress and a summary on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from augtui.domain.visible import excerpt, visible
from augtui.engines.base import ModelInfo, Progress, Restarted
from augtui.pipelines.augment import Summary
from augtui.pipelines.runner import ItemSettled, RunEvent
from augtui.store.runs import ItemStatus, Run

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_EVERY_S = 5.0
SHOWN_QUARANTINED = 10
SPEED_WINDOW_S = 5.0
MARKS = {"accepted": ("✓", "green"), "kept_original": ("=", "yellow"), "failed": ("✗", "red")}


class Speed:
    """Tokens a second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def see(self, tokens: int) -> float:
        """Take a total and return the present speed."""
        now = time.monotonic()
        if self._seen and tokens < self._seen[-1][1]:
            self._seen.clear()  # the engine was started again, and counts from 0
        self._seen = [(at, total) for at, total in self._seen if now - at <= SPEED_WINDOW_S] + [(now, tokens)]
        elapsed = now - self._seen[0][0]
        return (tokens - self._seen[0][1]) / elapsed if elapsed > 0 else 0.0


class Display:
    """The quiet display, which shows nothing but results, and what all displays have in common."""

    def __init__(self, task: str, *, shows_results: bool, json_summary: bool = False) -> None:
        """Show results of `task`, or leave them to a file."""
        self.task = task
        self.shows_results = shows_results
        self.json_summary = json_summary
        self.counts: Counter[str] = Counter()
        self.total = 0

    def say(self, what: str, detail: object = "") -> None:
        """Tell what is being done."""

    def loaded(self, info: ModelInfo) -> None:
        """Tell that the model is ready."""

    def begin(self, run: Run, counts: Mapping[ItemStatus, int]) -> None:
        """Tell how much there is to do, and how much of it was done before."""
        self.total = sum(counts.values())
        self.counts.update({status: count for status, count in counts.items() if status != "pending"})

    def see(self, event: RunEvent) -> None:
        """Take notice of an event."""
        if isinstance(event, ItemSettled):
            self.counts[event.status] += 1

    def result(self, line: Mapping[str, Any]) -> None:
        """Print one result."""
        # To a terminal only ASCII goes out: escapes in a data set must stay text. Old encodings hold little else.
        only_ascii = sys.stdout.isatty() or sys.stdout.encoding.lower() not in ("utf-8", "utf8")
        text = json.dumps(line, ensure_ascii=only_ascii)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def finish(self, summary: Summary, output: str | None, source: str) -> None:
        """Tell how it ended."""
        if self.json_summary:
            stream = sys.stderr if output is None else sys.stdout
            print(json.dumps({**summary.as_json(), "output": None if summary.interrupted else output}), file=stream)

    @property
    def done(self) -> int:
        """Return how many items are settled."""
        return sum(self.counts.values())


class PlainDisplay(Display):
    """Lines of text, for logs and pipes."""

    def __init__(self, task: str, *, shows_results: bool, json_summary: bool = False) -> None:
        """Show results of `task`, or leave them to a file."""
        super().__init__(task, shows_results=shows_results, json_summary=json_summary)
        self._told = 0.0
        self._speed = Speed()

    def say(self, what: str, detail: object = "") -> None:
        """Tell what is being done."""
        self._line(f"{visible(what)} {visible(str(detail))}".rstrip())

    def begin(self, run: Run, counts: Mapping[ItemStatus, int]) -> None:
        """Tell how much there is to do, and how much of it was done before."""
        super().begin(run, counts)
        self._line(_beginning(run, self.done, self.total))

    def see(self, event: RunEvent) -> None:
        """Take notice of an event; progress is a line every five seconds."""
        super().see(event)
        if isinstance(event, Restarted):
            self._line(_restarted(event))
        elif isinstance(event, Progress):
            speed = self._speed.see(event.completion_tokens)
            if time.monotonic() - self._told >= PLAIN_EVERY_S:
                self._told = time.monotonic()
                self._line(f"{self.done}/{self.total} · {_tally(self.counts)} · {speed:.0f} tok/s")

    def finish(self, summary: Summary, output: str | None, source: str) -> None:
        """Tell how it ended."""
        super().finish(summary, output, source)
        if not self.json_summary:
            for line in closing_lines(summary, output, source):
                self._line(line)

    def _line(self, text: str) -> None:
        print(f"augtui {self.task}: {text}", file=sys.stderr)


class TerminalDisplay(Display):
    """A progress bar on a terminal; results, if they are for the eye, above it."""

    def __init__(self, task: str, console: Console, *, shows_results: bool, pretty: bool, json_summary: bool) -> None:
        """Draw on `console` (stderr); `pretty` prints results for the eye rather than as JSON lines."""
        super().__init__(task, shows_results=shows_results, json_summary=json_summary)
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = console
        self._pretty = pretty
        self._speed = Speed()
        self._rate = 0.0
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tally]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("eta", style="dim"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(f"{task}: starting", total=None, tally="")

    def start(self) -> None:
        """Draw the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def say(self, what: str, detail: object = "") -> None:
        """Tell what is being done."""
        self._bar.update(self._task, description=f"{self.task}: {visible(what)}")

    def begin(self, run: Run, counts: Mapping[ItemStatus, int]) -> None:
        """Tell how much there is to do, and how much of it was done before."""
        super().begin(run, counts)
        if run.resumed:
            self._console.print(_beginning(run, self.done, self.total), style="dim", markup=False, highlight=False)
        self._bar.update(self._task, total=self.total, completed=self.done)

    def loaded(self, info: ModelInfo) -> None:
        """Tell that the model is ready."""
        self._bar.reset(self._task, total=self.total, completed=self.done, description=self.task)

    def see(self, event: RunEvent) -> None:
        """Take notice of an event."""
        super().see(event)
        if isinstance(event, Restarted):
            self._console.print(_restarted(event), style="yellow", markup=False, highlight=False)
        elif isinstance(event, Progress):
            self._rate = self._speed.see(event.completion_tokens)
        if isinstance(event, Progress | ItemSettled):
            tally = f"{_tally(self.counts)} · {self._rate:,.0f} tok/s"
            self._bar.update(self._task, completed=self.done, tally=tally)

    def result(self, line: Mapping[str, Any]) -> None:
        """Print one result, for the eye or as a JSON line."""
        if self._pretty:
            self._console.print(_for_the_eye(self.task, line), highlight=False, soft_wrap=False)
        else:
            super().result(line)

    def finish(self, summary: Summary, output: str | None, source: str) -> None:
        """Tell how it ended."""
        self._bar.stop()
        super().finish(summary, output, source)
        if not self.json_summary:
            for line in closing_lines(summary, output, source):
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing_lines(summary: Summary, output: str | None, source: str) -> Iterator[str]:
    """Yield how a run ended, in words: counts, speed, reasons, lines set aside, and what to do next."""
    counts = summary.counts
    done = summary.total - counts["pending"]
    if summary.interrupted:
        yield f"stopped: {done} of {summary.total} are done and saved (run {summary.run})"
        yield "run the same command again to go on" + (" with the same input" if source == "-" else "")
        return
    parts = [f"{counts['accepted']} accepted"]
    if summary.task == "refine" or counts["kept_original"]:
        parts.append(f"{counts['kept_original']} kept as they were")
    parts.append(f"{counts['failed']} failed")
    speed = f", {summary.completion_tokens / summary.seconds:,.0f} tok/s" if summary.completion_tokens else ""
    before = f", {summary.done_before} of them done before" if summary.done_before else ""
    yield f"{summary.total} items: {', '.join(parts)}{before} · {summary.seconds:.1f} s{speed} · run {summary.run}"
    if summary.cost:
        yield f"cost of the run: {summary.cost:.4f} US dollars"
    if summary.reasons:
        yield "rejected tries: " + " · ".join(f"{kind} {count}" for kind, count in summary.reasons.most_common(6))
    aside = summary.quarantined
    if aside:
        yield f"{len(aside)} lines of the input set aside:"
        for line in aside[:SHOWN_QUARANTINED]:
            yield f"  line {line.line}: {visible(line.reason)}: {excerpt(line.excerpt, 60)}"
        if len(aside) > SHOWN_QUARANTINED:
            yield f"  and {len(aside) - SHOWN_QUARANTINED} more: augtui runs show {summary.run}"
    if output is not None:
        yield f"written to {visible(output)}"


def _beginning(run: Run, done: int, total: int) -> str:
    if run.resumed and done:
        return f"run {run.id} goes on: {done} of {total} were done before"
    return f"run {run.id}: {total} items"


def _restarted(event: Restarted) -> str:
    return f"the engine died ({visible(event.reason)}) and was started again; {event.requeued} items queued again"


def _tally(counts: Mapping[str, int]) -> str:
    return " ".join(f"{mark}{counts.get(status, 0):,}" for status, (mark, _) in MARKS.items())


def _for_the_eye(task: str, line: Mapping[str, Any]) -> object:
    """Return one result as a little block: the original, then what became of it."""
    from rich.padding import Padding
    from rich.text import Text

    mark, colour = MARKS[str(line["status"])]
    original, made = _original_and_made(task, line)
    text = Text()
    text.append(f"{mark} ", style=colour)
    text.append(excerpt(original, 300) + "\n", style="dim")
    if line["status"] == "accepted":
        text.append(visible(made, newline="\n"))
    else:
        text.append(visible(f"{line['status'].replace('_', ' ')}: {line['reason']}"), style=colour)
    return Padding(text, (0, 0, 1, 0))


def _original_and_made(task: str, line: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a result was made from and what was made, as text for the eye."""
    if task == "pairs":
        return f"{len(line['context'])} pairs as examples", f"{line['instruction']}\n→ {line['response']}"
    if task == "check":
        scores = line["scores"] or {}
        told = ", ".join(f"{name} {score}" for name, score in scores.items())
        return str(line["instruction"]), f"{told}\n{line['evidence'] or ''}"
    made = next((line[name] for name in ("refined", "label") if name in line), None)
    if made is None:
        made = line["instruction"] if "source" in line else line.get("response")
    return str(line.get("source", line["instruction"]) or ""), str(made)
