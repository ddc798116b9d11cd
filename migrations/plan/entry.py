"""An entry of the history: one applied statement."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """The state of a statement."""

    sending = "sending"  # about to be sent; after a crash, the server's catalog tells whether it was
    applied = "applied"
    replaced = "replaced"  # swapped out for an object with a new name; `retire` drops it


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of one app; `applied_at` is in epoch ms, `duration_ms` is the server's execution time.

    `server_text` is the server's text of the object right after the statement, to be compared with its later text. While an
    alteration is being sent, it is the text before it: as long as the server has that text, nothing was altered.
    """

    id: str
    hash: str
    name: str
    text: str
    server_text: str = ""
    query_id: str = ""
    status: Status
    app_id: str
    app_version: str
    user: str
    cluster_id: str
    plan: str = ""  # the plan's name; an app may apply several plans
    applied_at: int
    duration_ms: int = 0
    replaced_at: int = 0  # when a swap or a roll-back put it aside, in epoch ms


# between id and name in the ids of entries: built by a swap and not yet in its place, and no longer in its place
NEW, OLD = ">", "<"
History = Mapping[str, Entry]  # by statement id
