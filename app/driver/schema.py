"""The Faust schema of the input topic."""

from __future__ import annotations

from typing import Any

import faust


class SliceSchema(faust.Schema[Any, Any]):
    """Deserializes nothing: the value of a Faust message is a tuple of `Slice`s already."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  # Faust's signature
        """The key as it is, which is None."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002  # Faust's signature
        """The slices."""
        return message.value
