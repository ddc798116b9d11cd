"""Which batches of a compacted partition can be deleted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Keys = list[tuple[bytes | None, int]]  # key and offset of each record of a batch


def batches_to_keep(bases: Sequence[int], contents: Sequence[Keys | None], limit: int) -> list[int]:
    """The numbers of the batches that stay, given the base offset and the keys of each.

    Whole batches are deleted, not single records: a batch stays as long as one of its records is the newest of its key, or
    has no key. These stay too: batches from the offset `limit` on, the last batch, and those without contents (None).
    """
    newest: dict[bytes | None, int] = {}
    for base, keys in zip(bases, contents, strict=True):
        if keys is not None and base < limit:
            newest.update(keys)
    last = len(bases) - 1
    return [
        number
        for number, (base, keys) in enumerate(zip(bases, contents, strict=True))
        if number == last
        or keys is None
        or base >= limit
        or any(key is None or newest.get(key) == offset for key, offset in keys)
    ]
