# Record batches as they are written, in format 2.

cdef enum:
    BATCH_HEADER = 61
    LENGTH_COVERS_FROM = 12
    CHECKED_FROM = 21
    MOST_OVERHEAD = 40  # bytes of a record beside its key, value and headers, at most
    TRANSACTIONAL = 0x10  # in the attributes


cdef inline void _put_number(uint8_t* at, int bytes, int64_t number) noexcept:
    """In network byte order."""
    while bytes:
        bytes -= 1
        at[bytes] = <uint8_t>(number & 0xff)
        number >>= 8


@cython.final
cdef class BatchBuilder:
    """Stands for aiokafka's `DefaultRecordBatchBuilder`, and gives the same bytes. `Bars` write themselves into it.

    A record that does not fit is refused, unless it is the first one.
    """

    cdef uint8_t* data
    cdef Py_ssize_t used, room, limit
    cdef readonly Py_ssize_t count
    cdef int64_t first_timestamp, max_timestamp
    cdef int64_t producer_id, producer_epoch, base_sequence
    cdef int codec
    cdef bint transactional
    cdef object compress
    cdef bytes packed  # the compressed records, once nothing more is added
    cdef bint closed

    def __cinit__(self, Py_ssize_t limit, int codec, object compress, bint transactional):
        """`codec`: its number in the attributes, which `compress` packs with; 0 is none."""
        self.limit, self.codec, self.compress, self.transactional = limit, codec, compress, transactional
        self.producer_id = self.producer_epoch = -1
        self.used = BATCH_HEADER
        self.room = max(limit, 1_024) + BATCH_HEADER
        self.data = <uint8_t*>PyMem_Malloc(self.room)
        if self.data == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.data)

    def set_producer_state(self, int64_t producer_id, int64_t producer_epoch, int64_t base_sequence):
        """Whose batch it is, and its place among those of its producer."""
        self.producer_id, self.producer_epoch, self.base_sequence = producer_id, producer_epoch, base_sequence

    def size(self):
        """Bytes so far, before compression."""
        return self.used

    def append(self, int64_t timestamp, bytes key, bytes value, list headers):
        """Add a record. Returns whether it fits."""
        cdef const uint8_t* name = NULL
        cdef const uint8_t* content = NULL
        cdef int64_t name_size = 0, content_size = 0
        if key is not None:
            name, name_size = <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)
        if value is not None:
            content, content_size = <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        return self.add(timestamp, name, name_size, NULL, 0, content, content_size, _packed_headers(headers), NULL, 0)

    cdef bint add(
        self, int64_t timestamp, const uint8_t* key, int64_t key_size, const uint8_t* suffix, int64_t suffix_size,
        const uint8_t* value, int64_t value_size, bytes headers, const uint8_t* last, int64_t last_size,
    ) except -1:
        """Add a record, whose key is in two parts. NULL: it has none.

        `headers`: with their number. `last`: the content of the last one, if they are without it.
        """
        cdef int64_t delta, size, whole_key = key_size + suffix_size, headers_size = PyBytes_GET_SIZE(headers)
        cdef uint8_t* at
        if self.closed:
            raise ValueError("the batch is closed")
        if self.count == 0:
            self.first_timestamp = self.max_timestamp = timestamp
        delta = timestamp - self.first_timestamp
        size = (
            1 + varint_size(delta) + varint_size(self.count)
            + (1 if key == NULL else varint_size(whole_key) + whole_key)
            + (1 if value == NULL else varint_size(value_size) + value_size)
            + headers_size + (0 if last == NULL else varint_size(last_size) + last_size)
        )
        if self.count and self.used + varint_size(size) + size >= self.limit:
            return False
        self._make_room(size + MOST_OVERHEAD)
        at = put_varint(self.data + self.used, size)
        at[0] = 0
        at = put_varint(put_varint(at + 1, delta), self.count)
        at = put_varint(at, -1 if key == NULL else whole_key)
        if key != NULL:
            memcpy(at, key, key_size)
            at += key_size
            if suffix_size:
                memcpy(at, suffix, suffix_size)
                at += suffix_size
        at = put_varint(at, -1 if value == NULL else value_size)
        if value != NULL:
            memcpy(at, value, value_size)
            at += value_size
        memcpy(at, PyBytes_AS_STRING(headers), headers_size)
        at += headers_size
        if last != NULL:
            at = put_varint(at, last_size)
            memcpy(at, last, last_size)
            at += last_size
        self.used = at - self.data
        self.count += 1
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
        return True

    cdef int _make_room(self, Py_ssize_t more) except -1:
        cdef uint8_t* larger
        if self.used + more > self.room:
            larger = <uint8_t*>PyMem_Realloc(self.data, 2 * (self.used + more))
            if larger == NULL:
                raise MemoryError
            self.data, self.room = larger, 2 * (self.used + more)
        return 0

    def close(self):
        """Nothing more will be added: compress the records, where that makes them smaller, and keep no others."""
        cdef bytes packed
        if self.closed:
            return
        if self.codec:
            packed = self.compress(PyBytes_FromStringAndSize(<const char*>self.data + BATCH_HEADER, self.used - BATCH_HEADER))
            if PyBytes_GET_SIZE(packed) < self.used:  # as aiokafka decides it
                self.packed = packed
                PyMem_Free(self.data)
                self.data = NULL
            else:
                self.codec = 0
        self.closed = True

    def build(self):
        """The batch, compressed where that makes it smaller."""
        cdef bytes made
        cdef uint8_t* at
        cdef const uint8_t* records
        cdef Py_ssize_t size
        self.close()
        if self.packed is None:
            records, size = self.data + BATCH_HEADER, self.used
        else:
            records, size = <const uint8_t*>PyBytes_AS_STRING(self.packed), BATCH_HEADER + PyBytes_GET_SIZE(self.packed)
        made = PyBytes_FromStringAndSize(NULL, size)
        at = <uint8_t*>PyBytes_AS_STRING(made)
        memset(at, 0, BATCH_HEADER)
        _put_number(at + 8, 4, size - LENGTH_COVERS_FROM)
        _put_number(at + 12, 4, -1)  # the leader epoch, which the broker sets, as it does the base offset
        at[16] = 2
        _put_number(at + 21, 2, self.codec | (TRANSACTIONAL if self.transactional else 0))
        _put_number(at + 23, 4, max(self.count - 1, 0))
        _put_number(at + 27, 8, self.first_timestamp)
        _put_number(at + 35, 8, self.max_timestamp)
        _put_number(at + 43, 8, self.producer_id)
        _put_number(at + 51, 2, self.producer_epoch)
        _put_number(at + 53, 4, self.base_sequence)
        _put_number(at + 57, 4, self.count)
        memcpy(at + BATCH_HEADER, records, size - BATCH_HEADER)
        _put_number(at + 17, 4, crc32c_of(at + CHECKED_FROM, size - CHECKED_FROM))
        return made


cdef bytes _packed_headers(list headers):
    """The headers of a record as its batch has them, their number first."""
    cdef uint8_t[10] number
    cdef list parts
    cdef bytes name, value
    if not headers:
        return b"\0"
    parts = [_packed_number(number, len(headers))]
    for label, value in headers:
        name = label.encode()
        parts += (_packed_number(number, len(name)), name)
        parts += (_packed_number(number, -1),) if value is None else (_packed_number(number, len(value)), value)
    return b"".join(parts)


cdef inline bytes _packed_number(uint8_t* scratch, int64_t number):
    return PyBytes_FromStringAndSize(<char*>scratch, put_varint(scratch, number) - scratch)
