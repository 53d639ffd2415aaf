"""The store against a model of dictionaries: whatever is done to both, they tell the same story."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augtui.domain.records import Quarantined, Record
from augtui.store import dataset, items, lineage, projects, runs

RECORDS = [Record(f"instruction {n}", source_id=n, line=n + 1) for n in range(6)]
KEYS = ["red", "blue"]
STATUSES: list[items.SettledStatus] = ["accepted", "kept_original", "failed"]


@dataclass
class Item:
    """The model's item."""

    status: str = "pending"
    text: str | None = None
    tries: int = 0
    child: str | None = None


@dataclass
class Ledger:
    """The model's run."""

    keys: list[str] = field(default_factory=list)
    quarantined: set[int] = field(default_factory=set)
    resumptions: int = -1
    status: str = "running"


class Store(RuleBasedStateMachine):
    """Two runs that share items, begun, settled, finished and reopened in any order."""

    @initialize()
    def create(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.path = Path(self.folder.name) / "law.db"
        self.project = projects.open_project(self.path)
        self.items: dict[str, Item] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.held: dict[str, runs.Run] = {}
        self.ids: dict[str, int] = {}
        self.imported: set[str] = set()

    @rule(key=st.sampled_from(KEYS))
    def begin(self, key: str) -> None:
        if key in self.held:
            return
        run = runs.begin(self.project, runs.RunPlan(key, "refine", key, {}))
        assert run.resumed == (key in self.ledgers)
        assert self.ids.setdefault(key, run.id) == run.id
        ledger = self.ledgers.setdefault(key, Ledger())
        assert run.previous_status == (ledger.status if run.resumed else None)
        ledger.resumptions += 1
        ledger.status = "running"
        self.held[key] = run

    @precondition(lambda self: self.held)
    @rule(data=st.data(), size=st.integers(0, 6))
    def add(self, data: st.DataObject, size: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        ledger = self.ledgers[key]
        order = RECORDS if key == "red" else RECORDS[::-1]
        planned = [items.PlannedItem(n, f"item {record.source_id}", record) for n, record in enumerate(order[:size])]
        new = items.add_items(self.project, self.held[key], planned)
        assert new == max(0, size - len(ledger.keys))
        ledger.keys += [item.key for item in planned[len(ledger.keys) :]]
        self.imported |= {item.record.id for item in planned}
        for item in planned:
            self.items.setdefault(item.key, Item())

    @precondition(lambda self: self.held and self.items)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), text=st.text(max_size=5), with_child=st.booleans())
    def settle(self, data: st.DataObject, status: items.SettledStatus, text: str, with_child: bool) -> None:
        run = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        keys = data.draw(st.lists(st.sampled_from(sorted(self.items)), min_size=1, max_size=3))
        outcomes = [
            items.Settled(
                key,
                status,
                text,
                attempts=(items.Attempt(self.items[key].tries, 0, text, status),),
                child=dataset.GeneratedRecord(text) if with_child else None,
            )
            for key in keys
        ]
        done = items.settle(self.project, run, outcomes)
        open_before = {key for key in keys if self.items[key].status == "pending"}
        assert set(done.result_ids) == open_before
        assert sorted([*done.result_ids, *done.ignored]) == sorted(keys)
        for key in open_before:
            item = self.items[key]
            item.status, item.text, item.tries, item.child = status, db_text(text), item.tries + 1, done.result_ids[key]
            assert (item.child is not None) == with_child

    @precondition(lambda self: self.held and self.items)
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        run = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        key = data.draw(st.sampled_from(sorted(self.items)))
        items.note_attempts(self.project, run, [(key, items.Attempt(self.items[key].tries, 0, "x", "rejected"))])
        self.items[key].tries += 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), line=st.integers(1, 5))
    def quarantine(self, data: st.DataObject, line: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        new = items.add_quarantined(self.project, self.held[key], [Quarantined(line, "bad")])
        assert new == (line not in self.ledgers[key].quarantined)
        self.ledgers[key].quarantined.add(line)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), status=st.sampled_from(["finished", "interrupted", "failed"]))
    def finish(self, data: st.DataObject, status: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        runs.finish(self.project, self.held.pop(key), status)  # type: ignore[arg-type]
        self.ledgers[key].status = status

    @rule()
    def reopen(self) -> None:
        for run in self.held.values():
            run.release()
        self.held.clear()
        self.project.close()
        self.project = projects.open_project(self.path, create=False)

    @invariant()
    def tells_the_same_story(self) -> None:
        for key, ledger in self.ledgers.items():
            run_id = self.ids[key]
            expected = [
                (n, k, self.items[k].status, self.items[k].text, self.items[k].child) for n, k in enumerate(ledger.keys)
            ]
            rows = list(items.results(self.project, run_id))
            assert [(r.position, r.key, r.status, r.text, r.result_record_id) for r in rows] == expected
            counts = runs.counts(self.project, run_id)
            assert sum(counts.values()) == len(ledger.keys)
            assert counts["pending"] == sum(status == "pending" for _, _, status, _, _ in expected)
            assert {line.line for line in items.quarantined(self.project, run_id)} == ledger.quarantined
            row = runs.get(self.project, run_id)
            dead = ledger.status == "running" and key not in self.held
            assert row.status == ("interrupted" if dead else ledger.status)
            assert row.resumptions == ledger.resumptions
            if key in self.held:
                pending = items.pending(self.project, self.held[key], 99)
                assert [(p.key, p.attempts_made) for p in pending] == [
                    (k, self.items[k].tries) for k in ledger.keys if self.items[k].status == "pending"
                ]
        assert dataset.count(self.project, "imported") == len(self.imported)
        children = {item.child for item in self.items.values() if item.child}
        assert dataset.count(self.project, "generated") == len(children)
        for child in children:
            (step,) = lineage.ancestors(self.project, child)
            assert self.items[step.item_key].child == child

    def teardown(self) -> None:
        if not hasattr(self, "project"):
            return
        for run in self.held.values():
            run.release()
        assert self.project.integrity() == []
        self.project.close()
        self.folder.cleanup()


def db_text(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


Store.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestStore = Store.TestCase
