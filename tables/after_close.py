"""What becomes of base windows once they have closed: they are kept for corrections, and merged into longer windows.

Neither changes a base bar. Both may be off; then an engine has no such object, and nothing here is ever called.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence

import msgspec

from tables.config import EngineConfig
from tables.core import Core
from tables.corrections import BASE, Corrections
from tables.emission import Closed
from tables.flat import FlatWindows
from tables.further import Further, Item, Revision, Settled, Whose, is_longer
from tables.kept import State
from tables.longer import Evidence, LongerWindows
from tables.packed import opened_by
from tables.scopes import Longer, Scope, Symbol
from tables.state import FurtherState, KeptState, RevisionState, encode_further, encode_longer
from tables.ticks import name_of
from tables.window import Window, new_window, unpack_window


class BoundsMovedError(ValueError):
    """The calendar has other bounds now for a window that was open, or due to be revised."""


ScopeOf = Callable[[bytes, tuple[str, str]], Scope]


class AfterClose:
    """Of one partition."""

    def __init__(self, config: EngineConfig, core: Core) -> None:
        self._core = core
        self._size = config.window_size
        self._grace = config.grace
        self.further = Further(len(config.frames), core, per_symbol=config.scope == "symbol")
        self.corrections = Corrections(config, core, self.further) if config.correct else None
        self.longer = LongerWindows(config, core, self.further, self.corrections) if config.frames else None
        publish = (lambda _: None) if self.longer is None else self.longer.publish
        self.flat = FlatWindows(config, self.further, publish) if config.flat else None
        self._names = [] if self.longer is None else [frame.name for frame in self.longer.frames]

    @classmethod
    def of(cls, config: EngineConfig, core: Core) -> AfterClose | None:
        """None where there is nothing to do after a close."""
        return cls(config, core) if config.correct or config.frames or config.flat else None

    def closed(
        self, scope: Scope, symbols: list[Symbol], windows: list[Window], end: int, evidence: Evidence
    ) -> Sequence[bytes] | None:
        """Take over base windows of a scope that have just closed. Returns their states, if they are kept for corrections."""
        states: Sequence[bytes] | None = None
        if self.flat is not None:
            if self.longer is not None:
                self.longer.close_due(scope, evidence, end - self._size)
            self.flat.pass_to(scope, end - self._size, evidence)
            self.flat.closed(scope, symbols, windows)
        if self.corrections is not None:
            states = self._core.pack_all(windows)
            self.corrections.kept.keep(scope, BASE, end, self._core.keys_of(symbols), states)
        if self.longer is not None:
            self.longer.gather(scope, symbols, windows, end - self._size, evidence)
        return states

    def settle(self, scope: Scope, evidence: Evidence) -> list[Longer]:
        """After the base windows of a step: close the longer windows that are due, and forget what has expired.

        Returns whose longer windows closed.
        """
        closed = [] if self.longer is None else self.longer.close_due(scope, evidence)
        if self.flat is not None:
            self.flat.pass_to(scope, evidence.watermark, evidence)
        if self.corrections is not None:
            self.corrections.kept.forget(scope)
        return closed

    def correct(self, scope: Scope, key: bytes, name: tuple[str, str], tick: Window, arrival: int) -> bool | None:
        """Merge a late tick, as a window of its own, into its closed window, and into the longer ones around, open or closed.

        Returns None where it cannot be corrected; else whether a longer window had to be opened, which may be due already.
        """
        corrections, end = self.corrections, tick.end
        if corrections is None or not corrections.reaches(scope, end):
            return None
        owner = self.further.longer_of(key, name, scope)
        start, watermark, opened = end - self._size, scope.stream_time - self._grace, False
        corrections.revise(owner, BASE, (start, end), tick, arrival)
        if self.longer is not None:
            for frame, (span, gathered) in enumerate(self.longer.around(start)):
                if span[1] <= watermark:
                    corrections.revise(owner, frame + 1, span, tick, arrival)
                elif gathered <= watermark:  # else it comes with what the frame gathers, when that closes
                    opened |= self.longer.gather_late(scope, owner, frame, tick, start)
        if self.flat is not None:
            self.flat.corrected(scope, owner, tick)
        return opened

    def publish_revisions(self, before: int, next_offset: int, cut: int) -> None:
        """See `Corrections.publish`."""
        if self.corrections is not None:
            self.corrections.publish(before, next_offset, cut, self._names)

    def any_due(self, before: int) -> bool:
        """Whether a revision is due before this arrival time."""
        return self.corrections is not None and self.corrections.any_due(before)

    def take_flat(self, into: list[Closed], published: Container[tuple[str, str, int]] | None) -> int:
        """Move the flat bars of the base window there, in order, without those that are published. Returns how many."""
        return 0 if self.flat is None else self.flat.move_closed(into, published)

    def take_closed(self) -> list[Closed]:
        """Longer windows that closed, and windows that were revised, since the last call; see `unpacked`."""
        longer, corrections = self.longer, self.corrections
        return [
            *(() if longer is None else longer.take_closed()),
            *(() if corrections is None else corrections.take_closed()),
        ]

    def step_back(self, arrival: int) -> None:
        """Leave a clock behind that was wrong, see `OpenWindows.step_back`."""
        if self.corrections is not None:
            self.corrections.step_back(arrival)
        for item in self.further.items.values():
            if is_longer(item):
                for frame, state in enumerate(item.states):
                    if state is not None and (other := opened_by(state, arrival)) is not state:
                        item.states[frame] = other
                        self.further.mark(item)

    def every_window(self) -> Iterator[tuple[Whose, Window]]:
        """All windows whose bars are still to be published here, or may be revised; and the closes that flat bars repeat."""
        for item in self.further.items.values():
            if isinstance(item, Revision) and item.state is not None:
                yield Whose(item.name), unpack_window(item.state)
            elif is_longer(item):
                yield from ((Whose(item.name), unpack_window(state)) for state in item.states if state is not None)
                if (close := item.close) is not None:
                    yield Whose(item.name), new_window(close.end, 0, close.price, close.ts, close.seq, close.offset)
        kept = () if self.corrections is None else self.corrections.kept.everything()
        yield from ((Whose(name_of(key)), unpack_window(state)) for key, state in kept)

    # ---- stored

    def is_needed(self, item: Item) -> bool:
        """Whether something is left of an item, even if it has no record: a symbol's scope, for the revisions that are due."""
        return is_longer(item) and item.due > 0

    def record_of(self, item: Item) -> bytes | None:
        """The value of an item's record; None where nothing is left of it."""
        if isinstance(item, Revision):
            if item.state is None:
                return None
            state = msgspec.Raw(item.state)
            frame = self._names[item.frame - 1] if item.frame else ""
            return encode_further(
                FurtherState([], RevisionState(frame, item.start, item.end, item.number, item.added, item.due, state))
            )
        if isinstance(item, Settled):
            kept = [] if self.corrections is None else [self._kept_state(*one) for one in self.corrections.kept.states_of(item)]
            return encode_further(FurtherState(kept=kept)) if kept else None
        buckets = item.scope.longer
        longer: list[bytes] = []
        for number, packed in enumerate(item.states):
            if packed is not None and (bucket := buckets[number]) is not None:
                longer.append(bucket.head)
                longer.append(packed)
        return encode_longer(longer, item.close) if longer or item.close is not None else None

    def restore(self, scope_of: ScopeOf, states: Iterable[tuple[bytes, tuple[str, str], FurtherState]]) -> list[Scope]:
        """Restore the records of a changelog: each with `broker|symbol` and the names. Returns scopes with longer windows.

        Raises `BoundsMovedError`.
        """
        revisions: list[Revision] = []
        scopes: list[Scope] = []
        for key, name, state in states:
            self._restore_kept(scope_of(key, name), key, state.kept)
            if not (state.longer or state.revision or state.close):
                continue
            owner = self.further.longer_of(key, name, scope_of(key, name))
            if state.close is not None and self.flat is not None:
                self.flat.restore(owner, state.close)
            if (due := state.revision) is not None:
                revision = self.further.revision_of(owner, self._index(due.frame), due.start, due.end)
                revision.number, revision.added, revision.due = due.number, due.added, due.due
                revision.state = bytes(due.window)
                self._check_bounds(due.frame, due.start, due.end)
                revisions.append(revision)
            for held in state.longer:
                self._check_bounds(held.frame, held.start, held.end)
                if self.longer is not None:
                    self.longer.restore(owner.scope, owner, self._index(held.frame) - 1, held.start, bytes(held.window))
                scopes.append(owner.scope)
        if self.corrections is not None:
            self.corrections.restore_revisions(revisions)
        return scopes

    def _kept_state(self, frame: int, end: int, state: State) -> KeptState:
        revision, packed = state if isinstance(state, tuple) else (0, state)
        start = end - self._size if frame == BASE or self.longer is None else self.longer.span(frame - 1, end - 1)[0]
        return KeptState(self._names[frame - 1] if frame else "", start, end, revision, msgspec.Raw(packed))

    def _restore_kept(self, scope: Scope, key: bytes, states: Sequence[KeptState]) -> None:
        for one in states:
            self._check_bounds(one.frame, one.start, one.end)
            if self.corrections is not None:
                packed = bytes(one.window)
                state = (one.revision, packed) if one.revision else packed
                self.corrections.kept.restore(scope, self._index(one.frame), one.end, key, state)

    def keep_published(self, scope: Scope, key: bytes, frame: str, start: int, state: bytes, revision: int) -> None:
        """Keep a window whose bar was published, if it can still be corrected. The newest version must come last."""
        if self.corrections is not None:
            end = self._end(frame, start)
            if end + self._grace <= scope.stream_time and self.corrections.reaches(scope, end):
                self.corrections.kept.put(scope, self._index(frame), end, key, (revision, state) if revision else state)

    def _index(self, frame: str) -> int:
        return self._names.index(frame) + 1 if frame else BASE

    def _end(self, frame: str, start: int) -> int:
        return self.longer.span(self._index(frame) - 1, start)[1] if frame and self.longer is not None else start + self._size

    def _check_bounds(self, frame: str, start: int, end: int) -> None:
        if frame and self.longer is not None and self.longer.span(self._index(frame) - 1, start) != (start, end):
            now = self.longer.span(self._index(frame) - 1, start)
            raise BoundsMovedError(f"the {frame} window [{start}, {end}) is [{now[0]}, {now[1]}) now")
