"""2 Batch: the job at work, what it makes, and what waits."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, ProgressBar, Static
from textual.widgets.option_list import Option

from augtui.domain.visible import excerpt, visible
from augtui.tui.jobs import Job
from augtui.tui.screens.dialogs import Reading
from augtui.tui.screens.workbench import Workbench
from augtui.tui.text import Piece, assemble, duration, plain, size, sparkline

DRAW_S = 0.1
"""At most ten pictures a second."""
MARKS = {"accepted": ("✓", "$success"), "kept_original": ("=", "$warning"), "failed": ("✗", "$error")}
SHOWN = 60
"""Results in the list of the latest."""


class Batch(Workbench):
    """What the jobs of this session do."""

    MODE = "batch"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause", id="batch.pause"),
        Binding("x", "stop", "Cancel", id="batch.cancel"),
        Binding("r", "run", "Run step", id="batch.run"),
        Binding("c", "resume", "Continue", id="batch.continue"),
        Binding("l", "log", "Log", id="batch.log"),
        Binding("left_square_bracket", "job(-1)", "Job before", show=False, key_display="[", id="batch.before"),
        Binding("right_square_bracket", "job(1)", "Next job", show=False, key_display="]", id="batch.next"),
    ]

    def __init__(self) -> None:
        """Show the current job."""
        super().__init__()
        self._chosen: int | None = None
        self._drawn: tuple[int, int, int] | None = None
        self._latest: list[dict[str, object]] = []
        self._tick = 0
        self._offered: tuple[int, str] | None = None
        """The job and its status that the keys were offered for."""

    def body(self) -> ComposeResult:
        """Put the figures above the results, and the queue below."""
        with Vertical(id="batch"):
            with Vertical(id="job") as box:
                box.border_title = "Batch"
                yield ProgressBar(id="bar", show_eta=False, show_percentage=False)
                yield Static(id="figures", markup=False)
            with Vertical(id="latest") as box:
                box.border_title = "latest"
                yield OptionList(id="results", markup=False, compact=True)
            with VerticalScroll(id="queue") as box:
                box.border_title = "queue"
                yield Static(id="waiting", markup=False)

    def on_mount(self) -> None:
        """Draw at most ten times a second, and only what has changed."""
        self.set_interval(DRAW_S, self._draw)
        self.query_one("#results").focus()

    @property
    def job(self) -> Job | None:
        """Return the job that is shown."""
        jobs = self.workshop.jobs
        if self._chosen is not None and self._chosen < len(jobs.all):
            return jobs.all[self._chosen]
        return jobs.current

    def refresh_body(self) -> None:
        """Draw anew."""
        self._drawn = None
        self._draw()

    def on_resize(self) -> None:
        """Cut the results anew."""
        super().on_resize()
        self._latest = []
        self.refresh_body()

    def project_changed(self) -> None:
        """Jobs are of the session, not of a project."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the job's state allows; the other keys stay where they are, without an effect."""
        job = self.job
        status = "" if job is None else job.status
        allowed = {
            "pause": job is not None
            and (status in ("running", "pausing", "paused") or (status == "starting" and not job.hears)),
            "stop": job is not None and (job.is_live or status == "waiting"),
            "resume": status in ("failed", "stopped"),
            "log": job is not None,
            "job": len(self.workshop.jobs.all) > 1,
        }
        return True if allowed.get(action, True) else None

    def _draw(self) -> None:
        if not self.is_current:
            return
        job, jobs = self.job, self.workshop.jobs
        self._tick += 1
        offered = None if job is None else (job.number, job.status)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()
        if job is None:
            if self._drawn is None:
                self._drawn = (0, 0, 0)
                self._draw_empty()
            return
        # A job that works is drawn twice a second even if it says nothing: its clock goes on.
        clock = self._tick // 5 if job.is_live else 0
        state = (job.number, job.version + 1_000_003 * clock, len(jobs.waiting))
        if state == self._drawn:
            return
        self._drawn = state
        self._draw_job(job)
        self._draw_results(job)
        self._draw_queue()

    def _draw_empty(self) -> None:
        self.query_one("#bar").display = False
        self.query_one("#figures", Static).update(
            assemble(["Nothing runs. ", ("r", "bold $accent"), " starts a step."])
        )
        self._draw_queue()

    def _draw_job(self, job: Job) -> None:
        box = self.query_one("#job")
        number = f" · run {job.run}" if job.run is not None else ""
        box.border_title = Content(f"Batch: {job.title}{number}")
        box.border_subtitle = Content("paused; space goes on" if job.status == "paused" else job.status)
        bar = self.query_one("#bar", ProgressBar)
        bar.display = True
        bar.update(total=job.total or None if job.is_live else max(1, job.total), progress=job.done)
        if not job.total and not job.is_live:
            bar.update(total=1, progress=1 if job.status == "finished" else 0)
        self.query_one("#figures", Static).update(figures(job))

    def _draw_results(self, job: Job) -> None:
        latest = list(job.latest)[-SHOWN:][::-1]
        results = self.query_one("#results", OptionList)
        if latest == self._latest:
            return
        self._latest = list(latest)
        width = max(20, self.size.width - 5)
        place = results.highlighted
        results.clear_options()
        results.add_options(Option(_result(one, width)) for one in latest)
        results.highlighted = place

    def _draw_queue(self) -> None:
        jobs = self.workshop.jobs.all
        lines: list[Content] = []
        for job in jobs[-20:]:
            mark, style = {
                "waiting": ("○", "$foreground-muted"),
                "finished": ("✓", "$success"),
                "failed": ("✗", "$error"),
                "stopped": ("‖", "$warning"),
            }.get(job.status, ("●", "$accent"))
            share = f"{job.done:,}/{job.total:,}" if job.total else ""
            lines.append(
                assemble(
                    [
                        (f"{mark} ", style),
                        f"{job.title:<12}",
                        (f"{job.status:<10}{share:>15}  {duration(job.elapsed_s()):>8}  ", "$foreground-muted"),
                        (excerpt(job.command, max(10, self.size.width - 58)), "$foreground-muted"),
                    ]
                )
            )
        self.query_one("#queue").display = len(jobs) > 1
        self.query_one("#waiting", Static).update(Content("\n").join(lines))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Show a result with its original."""
        one = self._latest[event.option_index]
        pieces: list[Piece | Content] = [
            ("original\n", "$foreground-muted"),
            plain(str(one["instruction"] or "")),
            (f"\n\n{one['status']}".replace("_", " "), "$foreground-muted"),
            plain(f": {one['reason']}" if one["reason"] else ""),
            "\n",
            plain(str(one["text"] or "")),
        ]
        self.app.push_screen(Reading("Result", assemble(pieces)))

    def action_pause(self) -> None:
        """Let the job rest, or go on."""
        job = self.job
        if job is None:
            return
        if job.status in ("paused", "pausing"):
            self.workshop.jobs.resume(job)
        else:
            self.workshop.jobs.pause(job)

    def action_stop(self) -> None:
        """End the job; what is done stays."""
        job = self.job
        if job is not None and (job.is_live or job.status == "waiting"):
            self.workshop.jobs.stop(job)
            self.notify("Stopping; what is done is saved. Once more ends it at once.", markup=False)

    def action_resume(self) -> None:
        """Run the job once more: it goes on where it stopped."""
        job = self.job
        if job is not None and job.ended is not None and job.status != "finished":
            self.workshop.launch(job.arguments, job.title)
            self._chosen = None

    def action_run(self) -> None:
        """Choose a step."""
        self.workshop.choose_step()

    def action_log(self) -> None:
        """Show what the job writes."""
        job = self.job
        if job is not None:
            lines = [job.command, "", *job.last_words(400), *job.output]
            self.app.push_screen(Reading("Log", plain("\n".join(lines))))

    def action_job(self, by: int) -> None:
        """Show another job."""
        jobs = self.workshop.jobs.all
        if jobs and self.job is not None:
            place = jobs.index(self.job) + by
            self._chosen = min(max(0, place), len(jobs) - 1)
            self.refresh_body()


def figures(job: Job) -> Content:
    """Return what is known of a job: how far, how good, how fast, how full."""
    counts, progress = job.counts, job.progress
    done = job.done
    accepted = counts.get("accepted", 0)
    share = f"{100 * accepted / done:.1f}%" if done else "–"
    lines: list[list[str | tuple[str, str]]] = [
        [
            f"{done:,}/{job.total:,}" if job.total else (job.is_live and visible(job.saying)) or job.status,
            ("   ETA ", "$foreground-muted"),
            duration(job.eta_s()),
            ("   elapsed ", "$foreground-muted"),
            duration(job.elapsed_s()),
            (f"   {excerpt(job.saying, 60)}" if job.total and job.saying else "", "$warning"),
        ],
        [
            ("accepted ", "$foreground-muted"),
            (f"{accepted:,}", "$success"),
            ("   kept as they were ", "$foreground-muted"),
            f"{counts.get('kept_original', 0):,}",
            ("   failed ", "$foreground-muted"),
            (f"{counts.get('failed', 0):,}", "$error" if counts.get("failed") else ""),
            ("   accept ", "$foreground-muted"),
            share,
        ],
        [
            ("decode ", "$foreground-muted"),
            f"{job.summary.get('tokens_per_second', job.speed):,.0f} tok/s ",
            (sparkline(job.speeds, 40), "$primary"),
        ],
    ]
    if not job.hears or "done" in counts:
        lines = lines[:1]
    timing = progress.get("timing") or {}
    if job.hears and timing.get("prefill_s"):
        lines[2] += [
            ("   prefill ", "$foreground-muted"),
            f"{timing['prefill_tokens'] / timing['prefill_s']:,.0f} tok/s",
        ]
    if progress:
        used, whole = progress["context_used"], progress["context_size"] or 1
        lines.append(
            [
                ("slots ", "$foreground-muted"),
                f"{progress['active']}/{progress['slots']}",
                ("   waiting ", "$foreground-muted"),
                f"{progress['waiting']}",
                ("   context ", "$foreground-muted"),
                f"{100 * used / whole:.0f}%",
                ("   memory ", "$foreground-muted"),
                size(progress["rss_bytes"]),
            ]
        )
    if job.reasons:
        most = sorted(job.reasons.items(), key=lambda reason: -reason[1])[:6]
        shown = " · ".join(f"{excerpt(kind, 24)} {count:,}" for kind, count in most)
        lines.append([("rejects: ", "$foreground-muted"), shown])
    if job.is_live and not job.hears and (words := job.last_words(5)):
        lines.append([("\n".join(words), "$foreground-muted")])
    if job.status == "failed":
        lines.append([("\n".join(job.last_words(4)), "$error")])
    elif job.status == "stopped":
        lines.append([("stopped; what is done is saved. c continues it.", "$warning")])
    return Content("\n").join(assemble(line) for line in lines)


def _result(one: dict[str, object], width: int) -> Content:
    mark, style = MARKS.get(str(one["status"]), ("·", ""))
    head = excerpt(str(one["instruction"]), max(16, width // 3))
    room = max(10, width - cell_len(head) - 8)
    if one["status"] == "accepted":
        return assemble([(f"{mark} ", style), (f"{head}  ", "$foreground-muted"), excerpt(str(one["text"]), room)])
    return assemble(
        [(f"{mark} ", style), (f"{head}  ", "$foreground-muted"), (excerpt(str(one["reason"]), room), style)]
    )
