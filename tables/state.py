"""The stored state and its JSON: one record for each symbol, and the position record of the partition."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from tables.window import Window


class Counters(msgspec.Struct):
    """Counts of the records of a partition, by outcome. `read` is the sum of all but `lost`."""

    read: int = 0
    binned: int = 0
    late: int = 0
    rejected: int = 0
    heartbeats: int = 0
    lost: int = 0  # gone from the input (on_gap=continue)
    corrected: int = 0  # late, and part of a revision

    def balanced(self) -> bool:
        """Whether every record was counted exactly once."""
        return self.read == self.binned + self.corrected + self.late + self.rejected + self.heartbeats


class SymbolState(msgspec.Struct, array_like=True):
    """One symbol: its open windows and, under scope `symbol`, its stream time and the arrival that moved it (epoch ms).

    Or one scope, without windows.
    """

    windows: list[Window]
    stream_time: int | None = None
    advanced_at: int | None = None
    more: int = 0  # further records that hold the rest of many windows


class LongerState(msgspec.Struct, array_like=True):
    """An open longer window: the name of its frame, its bounds (epoch ms), and its state as `pack_window` gives it."""

    frame: str
    start: int
    end: int
    window: msgspec.Raw


class RevisionState(msgspec.Struct, array_like=True):
    """A revision that is due: of which window, and with how many late ticks since which revision. Times are epoch ms."""

    frame: str  # empty: a base window
    start: int
    end: int
    number: int
    added: int
    due: int
    window: msgspec.Raw


class KeptState(msgspec.Struct, array_like=True):
    """A closed window that can be corrected, with the number of its last revision. Times are epoch ms."""

    frame: str
    start: int
    end: int
    revision: int
    window: msgspec.Raw


class Close(msgspec.Struct, array_like=True, gc=False, frozen=True, eq=False):
    """The last tick of a day so far, of a symbol: flat bars repeat its price."""

    price: Decimal
    ts: int  # in the setting's unit
    seq: int
    offset: int
    end: int  # of its base window, epoch ms
    since: int  # when that window began (epoch ms); so much earlier as its first tick was ahead of its arrival


class FurtherState(msgspec.Struct, array_like=True):
    """A record of `tables.further`."""

    longer: list[LongerState] = []
    revision: RevisionState | None = None
    kept: list[KeptState] = []
    close: Close | None = None


class Identity(msgspec.Struct, frozen=True):
    """Which cluster and topics the offsets of a position belong to; empty where the broker or an older version did not tell."""

    cluster: str = ""
    input: str = ""  # topic ids
    finals: str = ""

    def completed_by(self, other: Identity) -> Identity:
        """This identity, with what only the other one knows."""
        return Identity(self.cluster or other.cluster, self.input or other.input, self.finals or other.finals)


UNKNOWN = Identity()
NO_CUT = -(1 << 62)
CUT_AT_NEXT = 1 << 62  # the next record's arrival will be the cut


class Position(msgspec.Struct, kw_only=True):
    """How far a partition is. Recovery starts from it. Times are epoch ms."""

    next_offset: int
    arrival: int  # running maximum of arrival times
    counters: Counters
    finals_end: int  # end offset of our finals as of this moment
    changelog_start: int  # every live state was written at or after this offset of the changelog
    fingerprint: dict[str, str] = msgspec.field(name="meaning")  # the settings that give the bars their meaning
    consumed_to: int = (
        -1
    )  # from `next_offset` up to here were no records, but markers of transactions; -1: 0.1.0 did not store it
    identity: Identity = UNKNOWN
    # Windows that had begun at this arrival time may lack ticks: reading began then, or records before it were lost.
    cut: int = NO_CUT
    leader_epoch: int = -1  # of the last batch of the input that was processed; -1: not known
    clock_steps: int = 0  # times that a clock which had been more than a minute ahead was left behind
    finals_epoch: tuple[int, int] = (-1, 0)  # a leader epoch of the finals, and an offset: all before it were there then
    # Topic -> offset. Where the topics of corrections and of longer bars ended as of this moment, and from where on the topics
    # of all bars hold the windows that can be corrected. Absent without them.
    ends: dict[str, int] | UnsetType = UNSET
    horizon: dict[str, int] | UnsetType = UNSET
    tz: str | UnsetType = UNSET  # version of the time zone database, where there are frames
    # Scope -> (stream time, arrival that set it), where an older version wrote it. Now each scope has a record of its own, and
    # this field is omitted, so that an older version refuses the position instead of starting without clocks.
    scopes: dict[str, tuple[int, int]] | UnsetType = UNSET

    @property
    def stream_times(self) -> dict[str, tuple[int, int]]:
        """Those that an older version kept here."""
        return {} if isinstance(self.scopes, UnsetType) else self.scopes

    @property
    def known_horizon(self) -> dict[str, int]:
        """The horizon; empty without corrections."""
        return {} if isinstance(self.horizon, UnsetType) else self.horizon

    def all_ends(self, finals: str) -> dict[str, int]:
        """Where the topics of all bars ended, those of the base finals included, whose topic is given."""
        return {finals: self.finals_end, **({} if isinstance(self.ends, UnsetType) else self.ends)}

    @property
    def resume_at(self) -> int:
        """The offset at which reading goes on."""
        return max(self.next_offset, self.consumed_to)

    def move_to(self, offset: int) -> None:
        """Go on at another offset."""
        self.next_offset = self.consumed_to = offset


POSITION_KEY = b"position"

encode_state = msgspec.json.Encoder().encode
decode_state = msgspec.json.Decoder(SymbolState).decode
encode_further = msgspec.msgpack.Encoder().encode
decode_further = msgspec.msgpack.Decoder(FurtherState).decode
# How the array of a `FurtherState` begins: with an array of so many longer windows.
_LONGER = [bytes((0x94, 0x90 + count)) for count in range(16)]


def longer_head(frame: str, start: int, end: int) -> bytes:
    """How a `LongerState` begins in its record. All that follows is the window."""
    return b"\x94" + encode_further(frame) + encode_further(start) + encode_further(end)


def encode_longer(longer: list[bytes], close: Close | None) -> bytes:
    """The record of a symbol's longer windows, given as heads and states in turn: what `encode_further` would give of it.

    Most of it is there already; a checkpoint may write one for every symbol.
    """
    return b"".join((_LONGER[len(longer) // 2], *longer, b"\xc0\x90", b"\xc0" if close is None else encode_further(close)))


encode_position = msgspec.json.Encoder().encode
decode_position = msgspec.json.Decoder(Position).decode
