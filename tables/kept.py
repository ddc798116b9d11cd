"""Closed windows that late ticks may still revise, as the bytes of their states; and where their bars lie.

A restart reads the states from the headers of the bars. So the position names the offsets from which the bars of all these
windows lie. A scope that fell silent keeps its last windows for good, and would hold these offsets back. So windows whose bars
lie far back get records of their own in the changelog.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from tables.config import EngineConfig
from tables.further import Further, Settled
from tables.scopes import Scope

FRAME_BITS = 4
FAR_BACK = 10_000  # records of bars, beside four for each window that is kept
IN_A_RECORD = 16  # window lengths
State = bytes | tuple[int, bytes]  # of a window whose bar was published; with the number of its last revision, if there is one


class Generation:
    """Closed windows whose bars were published since one checkpoint."""

    __slots__ = ("ends", "live")

    def __init__(self, ends: Mapping[str, int]) -> None:
        self.ends = ends  # end offsets of the topics at that checkpoint: the bars lie there or later
        self.live = 0  # how many sets of windows are kept


class _OfScope:
    """The closed windows of one scope: by frame and end, and within that by symbol, in the order in which they closed."""

    __slots__ = ("generations", "settled", "states")

    def __init__(self) -> None:
        self.settled: set[int] = set()  # entries whose windows have records of their own
        self.states: dict[int, dict[bytes, State] | State] = {}  # under scope `symbol` there is one symbol only
        self.generations: list[Generation] = []  # of each entry


class KeptWindows:
    """Those of one partition."""

    def __init__(self, config: EngineConfig, further: Further) -> None:
        self.count = 0  # correctable windows, and some that have just expired
        self._reach = config.grace + config.correction_horizon
        self._per_record = IN_A_RECORD * config.window_size
        self._per_symbol = config.scope == "symbol"
        self._further = further
        self._scopes: dict[str, _OfScope] = {}
        self._generations: deque[Generation] = deque([Generation({})])
        self._own = Generation({})  # of windows that have records of their own
        self._sweep_at = 100

    def keep(self, scope: Scope, frame: int, end: int, keys: Sequence[bytes], states: Sequence[State]) -> None:
        """Keep windows of a scope that have just closed."""
        states_by_key = dict(zip(keys, states, strict=True))
        self._entry(scope.key, end << FRAME_BITS | frame, states[0] if self._per_symbol else states_by_key)
        self.count += len(states)

    def put(self, scope: Scope, frame: int, end: int, key: bytes, state: State) -> None:
        """Keep the newest version of one window."""
        slot = end << FRAME_BITS | frame
        kept = self._scopes.get(scope.key)
        held = None if kept is None else kept.states.get(slot)
        if held is None or kept is None:
            self.keep(scope, frame, end, [key], [state])
        elif isinstance(held, dict):
            self.count += key not in held
            held[key] = state
        else:
            kept.states[slot] = state
        if kept is not None and slot in kept.settled:
            self._settle(scope.key, slot, key)

    def forget(self, scope: Scope) -> None:
        """Drop what has expired."""
        kept = self._scopes.get(scope.key)
        if kept is None:
            return
        expired = scope.stream_time - self._reach
        states = kept.states
        while states:
            slot = next(iter(states))
            if slot >> FRAME_BITS > expired:
                return
            held = states.pop(slot)
            self.count -= len(held) if isinstance(held, dict) else 1
            kept.generations.pop(0).live -= 1
            if slot in kept.settled:
                kept.settled.remove(slot)
                for key in _keys(scope.key, held):
                    item = self._item(scope.key, slot, key)
                    item.slots.discard(slot)
                    self._further.mark(item)
        del self._scopes[scope.key]

    def _entry(self, scope: str, slot: int, held: dict[bytes, State] | State) -> None:
        kept = self._scopes.get(scope)
        if kept is None:
            kept = self._scopes[scope] = _OfScope()
        kept.states[slot] = held
        kept.generations.append(self._generations[-1])
        self._generations[-1].live += 1

    def find(self, scope: Scope, frame: int, end: int, key: bytes) -> State | None:
        """The newest published state of a window; None where it had no bar, or has expired."""
        kept = self._scopes.get(scope.key)
        return self._state(kept, end << FRAME_BITS | frame, key)

    def everything(self) -> Iterator[tuple[bytes, bytes]]:
        """`broker|symbol` and the state of every window that is kept."""
        for scope, kept in self._scopes.items():
            for held in kept.states.values():
                for key in _keys(scope, held):
                    state = held[key] if isinstance(held, dict) else held
                    yield key, state[1] if isinstance(state, tuple) else state

    def of_symbol(self, scope: Scope, key: bytes) -> Iterator[tuple[int, int, State]]:
        """Frame, end and newest published state of each closed window of a symbol that is kept, for readers."""
        kept = self._scopes.get(scope.key)
        for slot in [] if kept is None else kept.states:
            state = self._state(kept, slot, key)
            if state is not None:
                yield slot & (1 << FRAME_BITS) - 1, slot >> FRAME_BITS, state

    def states_of(self, item: Settled) -> Iterator[tuple[int, int, State]]:
        """Frame, end and state of each window whose record this is."""
        kept = self._scopes.get(item.scope)
        for slot in sorted(item.slots):
            state = self._state(kept, slot, item.key)
            if state is not None:
                yield slot & (1 << FRAME_BITS) - 1, slot >> FRAME_BITS, state

    def restore(self, scope: Scope, frame: int, end: int, key: bytes, state: State) -> None:
        """Keep a window that had a record of its own."""
        self.put(scope, frame, end, key, state)
        kept, slot = self._scopes[scope.key], end << FRAME_BITS | frame
        if slot not in kept.settled:
            kept.settled.add(slot)
            kept.generations[-1].live -= 1  # it is the last entry
            kept.generations[-1] = self._own
            self._own.live += 1
        self._settle(scope.key, slot, key)

    @staticmethod
    def _state(kept: _OfScope | None, slot: int, key: bytes) -> State | None:
        held = None if kept is None else kept.states.get(slot)
        return held.get(key) if isinstance(held, dict) else held

    def _item(self, scope: str, slot: int, key: bytes) -> Settled:
        return self._further.settled_of(key, (slot >> FRAME_BITS) // self._per_record, scope)

    def _settle(self, scope: str, slot: int, key: bytes) -> None:
        item = self._item(scope, slot, key)
        item.slots.add(slot)
        self._further.mark(item)

    def settle(self, ends: Mapping[str, int]) -> None:
        """Give records of their own to windows whose bars lie far back from the present ends of the topics.

        That is when the bars since then are many more than the windows: what this costs is little for each bar.
        """
        enough = FAR_BACK + 4 * self.count
        far = next((_distance(one, ends) for one in self._generations if one.live), 0)
        if far <= enough:
            return
        old = {one for one in self._generations if one.live and _distance(one, ends) * 2 > enough}
        for scope, kept in self._scopes.items():
            for number, slot in enumerate(kept.states):
                generation = kept.generations[number]
                if generation in old:
                    generation.live -= 1
                    kept.generations[number] = self._own
                    self._own.live += 1
                    kept.settled.add(slot)
                    for key in _keys(scope, kept.states[slot]):
                        self._settle(scope, slot, key)

    def checkpointed(self, ends: Mapping[str, int]) -> None:
        """What closes from now on has its bars at these offsets of the topics or later."""
        generations = self._generations
        while len(generations) > 1 and not generations[0].live:
            generations.popleft()
        if not generations[-1].live:
            generations[-1].ends = ends
            return
        if len(generations) > self._sweep_at:
            self._generations = generations = deque(one for one in generations if one.live)
            self._sweep_at = 2 * len(generations) + 100
        generations.append(Generation(ends))

    @property
    def horizon_begins(self) -> Mapping[str, int] | None:
        """Offsets of the topics from which the bars of all correctable windows lie; None where there are none."""
        return next((one.ends for one in self._generations if one.live), None)


def _distance(generation: Generation, ends: Mapping[str, int]) -> int:
    """How many records the topics have had since a checkpoint."""
    return max((end - generation.ends.get(topic, end) for topic, end in ends.items()), default=0)


def _keys(scope: str, held: dict[bytes, State] | State) -> list[bytes]:
    """The symbols of an entry; under scope `symbol` the scope is called like its symbol, see `order_of`."""
    return list(held) if isinstance(held, dict) else [scope.replace("\0", "|").encode()]
