"""Closed windows that late ticks may still revise, as the bytes of their states; and where their bars lie.

A restart reads the states from the headers of the bars. So the position names the offsets from which the bars of all these
windows lie. A scope that fell silent keeps its last windows for good, and would hold these offsets back. So windows whose bars
lie far back get records of their own in the changelog.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tables.config import EngineConfig
from tables.further import Further, Settled
from tables.packed import order_of_key
from tables.scopes import Scope

FRAME_BITS = 4
FAR_BACK = 10_000  # records of bars, beside four for each window that is kept
IN_A_RECORD = 16  # window lengths
State = bytes | tuple[int, bytes]  # of a window whose bar was published; with the number of its last revision, if there is one
PlaceOf = Callable[[Sequence[bytes], bytes], int]  # see `tables.packed.place_of`


class Generation:
    """Closed windows whose bars were published since one checkpoint."""

    __slots__ = ("ends", "live")

    def __init__(self, ends: Mapping[str, int]) -> None:
        self.ends = ends  # end offsets of the topics at that checkpoint: the bars lie there or later
        self.live = 0  # how many sets of windows are kept


class Together:
    """Windows of many symbols that closed together: states by keys, which are in the order of bars.

    Two tuples take a third of the memory of a dictionary, and the closes of the same symbols share one of them.
    """

    __slots__ = ("_place_of", "keys", "later", "states")

    def __init__(self, keys: Sequence[bytes], states: Sequence[State], place_of: PlaceOf) -> None:
        """Lists may be appended to."""
        self._place_of = place_of
        self.keys = keys
        self.states = states
        self.later: dict[bytes, State] = {}  # states that are newer, or of other symbols

    def __len__(self) -> int:
        """How many windows there are."""
        return len(self.keys) + sum(self._place_of(self.keys, key) < 0 for key in self.later)

    def get(self, key: bytes) -> State | None:
        """The newest state of a symbol's window."""
        state = self.later.get(key)
        if state is None:
            place = self._place_of(self.keys, key)
            return self.states[place] if place >= 0 else None
        return state

    def put(self, key: bytes, state: State) -> bool:
        """Take a newer state. Returns whether it is that of another symbol."""
        if isinstance(self.keys, list) and isinstance(self.states, list) and order_of_key(self.keys[-1]) < order_of_key(key):
            self.keys.append(key)
            self.states.append(state)
            return True
        is_new = self.get(key) is None
        self.later[key] = state
        return is_new

    def items(self) -> Iterator[tuple[bytes, State]]:
        """Keys and states."""
        for key, state in zip(self.keys, self.states, strict=True):
            if key not in self.later:
                yield key, state
        yield from self.later.items()


class _OfScope:
    """The closed windows of one scope: by frame and end, in the order in which they closed."""

    __slots__ = ("generations", "keys", "settled", "states")

    def __init__(self) -> None:
        self.settled: set[int] = set()  # entries whose windows have records of their own
        self.states: dict[int, Together | State] = {}  # under scope `symbol` there is one symbol only
        self.generations: list[Generation] = []  # of each entry
        self.keys: tuple[bytes, ...] = ()  # of the last one


class KeptWindows:
    """Those of one partition."""

    def __init__(self, config: EngineConfig, further: Further, place_of: PlaceOf) -> None:
        self.count = 0  # correctable windows, and some that have just expired
        self._place_of = place_of
        self._reach = config.grace + config.correction_horizon
        self._per_record = IN_A_RECORD * config.window_size
        self._per_symbol = config.scope == "symbol"
        self._further = further
        self._scopes: dict[str, _OfScope] = {}
        self._generations: deque[Generation] = deque([Generation({})])
        self._own = Generation({})  # of windows that have records of their own
        self._sweep_at = 100

    def keep(self, scope: Scope, frame: int, end: int, keys: tuple[bytes, ...], states: Sequence[State]) -> None:
        """Keep windows of a scope that have just closed, in the order of bars. `states` must not change any more."""
        slot = end << FRAME_BITS | frame
        self.count += len(states)
        if self._per_symbol:
            self._enter(scope.key, slot, states[0])
            return
        kept = self._of(scope.key)
        if keys != kept.keys:  # most of them are the same objects, so this takes little
            kept.keys = keys
        self._enter(scope.key, slot, Together(kept.keys, states, self._place_of))

    def put(self, scope: Scope, frame: int, end: int, key: bytes, state: State) -> None:
        """Keep the newest version of one window."""
        slot = end << FRAME_BITS | frame
        kept = self._of(scope.key)
        held = kept.states.get(slot)
        if held is None:
            self.count += 1
            self._enter(scope.key, slot, state if self._per_symbol else Together([key], [state], self._place_of))
        elif isinstance(held, Together):
            self.count += held.put(key, state)
        else:
            kept.states[slot] = state
        if slot in kept.settled:
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
            self.count -= len(held) if isinstance(held, Together) else 1
            kept.generations.pop(0).live -= 1
            if slot in kept.settled:
                kept.settled.remove(slot)
                for key, _ in _items(scope.key, held):
                    item = self._item(scope.key, slot, key)
                    item.slots.discard(slot)
                    self._further.mark(item)
        del self._scopes[scope.key]

    def _of(self, scope: str) -> _OfScope:
        kept = self._scopes.get(scope)
        if kept is None:
            kept = self._scopes[scope] = _OfScope()
        return kept

    def _enter(self, scope: str, slot: int, held: Together | State) -> None:
        kept = self._of(scope)
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
                for key, state in _items(scope, held):
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
        return held.get(key) if isinstance(held, Together) else held

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
                    for key, _ in _items(scope, kept.states[slot]):
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


def _items(scope: str, held: Together | State) -> Iterable[tuple[bytes, State]]:
    """The windows of an entry; under scope `symbol` the scope is called like its symbol, see `order_of`."""
    return held.items() if isinstance(held, Together) else [(scope.replace("\0", "|").encode(), held)]
