"""The decoders of the messages of one Protobuf file. Imported where there is one: Google's library is large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Never

from tables.layouts.config import ParsedLayout
from tables.layouts.decoded import DecodedTick, UnfitSchemaError
from tables.layouts.framing import FIRST_MESSAGE, GUID_BYTES, PREFIX, message_indexes
from tables.layouts.protobuf import DecoderMaker, IndexedDecoder, decoder_maker, protobuf_decoder
from tables.layouts.protobuf_schema import ProtobufFile, descriptor_set
from tables.ticks import RejectedError


def of_file(content: bytes, message: str, parsed: ParsedLayout) -> tuple[IndexedDecoder, DecoderMaker]:
    """The decoder of the message with this name in a descriptor set, and what makes one for each pass.

    Raises `UnfitSchemaError`.
    """
    kind = descriptor_set(content).by_name(message)
    decode = protobuf_decoder(kind, parsed)

    def shared(value: bytes, _: int) -> DecodedTick:
        return decode(value)

    return shared, decoder_maker(kind, parsed, shared)


class Messages:
    """The decoders of one Protobuf file, by the indexes of the message."""

    def __init__(self, text: str, references: Sequence[tuple[str, str]], parsed: ParsedLayout, number: str) -> None:
        """The file is as a registry has it. Raises `UnfitSchemaError` where no tick can be read by any of its messages."""
        self._file = ProtobufFile.registered(text, references)
        self._parsed = parsed
        self._number = number
        self._known: dict[tuple[int, ...], Callable[[bytes], DecodedTick]] = {}
        problems = [self._try(index) for index in range(self._file.messages)] or ["it has no message"]
        if all(problems):
            raise UnfitSchemaError(str(problems[0]))
        self.maker: DecoderMaker | None = None
        if not problems[0]:
            self.maker = decoder_maker(self._file.by_indexes(FIRST_MESSAGE), parsed, self.decode, PREFIX)

    def _try(self, index: int) -> str:
        """What is wrong with a message; empty: ticks can be read by it."""
        try:
            self._known[index,] = protobuf_decoder(self._file.by_indexes([index]), self._parsed)
        except UnfitSchemaError as error:
            detail = f"schema {self._number}: {error}"

            def rejected(_: bytes) -> Never:
                raise RejectedError("schema", detail)

            self._known[index,] = rejected
            return str(error)
        return ""

    def decode(self, value: bytes, at: int) -> DecodedTick:
        """The tick of a value with the indexes in front of the message."""
        indexes, at = message_indexes(value, at)
        return self._of(indexes)(value[at:])

    def decode_by_header(self, value: bytes, content: bytes) -> DecodedTick:
        """The tick of a value whose header has the indexes."""
        indexes, _ = message_indexes(content, PREFIX if content[:1] == b"\0" else 1 + GUID_BYTES)
        return self._of(indexes)(value)

    def _of(self, indexes: tuple[int, ...]) -> Callable[[bytes], DecodedTick]:
        found = self._known.get(indexes)
        if found is None:
            try:
                found = protobuf_decoder(self._file.by_indexes(indexes), self._parsed)
            except UnfitSchemaError as error:
                raise RejectedError("schema", f"schema {self._number}: {error}") from None
            self._known[indexes] = found
        return found
