# Reads a record batch from its bytes, see `FastPath`.

@cython.final
cdef class RawRecord:
    """One record of a batch, for the rules in Python."""

    cdef readonly object offset
    cdef readonly object timestamp
    cdef readonly object key
    cdef readonly object value
    cdef readonly list headers


cdef RawRecord _raw(const record_t* r, int64_t offset, int64_t timestamp):
    cdef RawRecord record = RawRecord.__new__(RawRecord)
    cdef const uint8_t* at = r.headers
    cdef const uint8_t* name = NULL
    cdef const uint8_t* content = NULL
    cdef int64_t name_size = 0, content_size = 0, number
    record.offset = offset
    record.timestamp = timestamp
    record.key = None if r.key == NULL else PyBytes_FromStringAndSize(<const char*>r.key, r.key_size)
    record.value = None if r.value == NULL else PyBytes_FromStringAndSize(<const char*>r.value, r.value_size)
    record.headers = []
    for number in range(r.header_count):
        at = read_header(at, r.end, &name, &name_size, &content, &content_size)
        record.headers.append((
            PyBytes_FromStringAndSize(<const char*>name, name_size).decode("ascii"),
            None if content == NULL else PyBytes_FromStringAndSize(<const char*>content, content_size),
        ))
    return record


cdef enum:
    STAGES = 4  # a group of records is parsed, its symbols are fetched, their windows are fetched, and it is folded
    GROUP = 8
    FOLDED = 160  # bytes of a window that a tick reads, nearly always


cdef struct coming_t:
    record_t record
    uint64_t hashed  # its key


cdef struct group_t:
    coming_t[GROUP] records
    int count


def feed_batch(FastPath path, data, int64_t count, int64_t base_offset, int64_t first_offset, arrived, process):
    """Process the records of a batch from their bytes, from `first_offset` on; all arrived at `arrived` (epoch ms).

    Returns how many records were read, and whether that was all. If not, the rest is not as it should be.

    With many symbols nearly every record is a cache miss, or four. So what a group of records needs is on its way from memory
    while the groups before it are folded.
    """
    cdef Py_buffer buffer
    cdef const uint8_t* p
    cdef const uint8_t* end
    cdef group_t[STAGES] groups
    cdef group_t* group
    cdef int64_t parsed = 0, done = 0
    cdef unsigned int turn = 0
    for turn in range(STAGES):
        groups[turn].count = 0
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        path._begin(arrived)
        p = <const uint8_t*>buffer.buf
        end = p + buffer.len
        turn = STAGES
        try:
            while True:
                group = &groups[turn % STAGES]
                group.count = 0
                while p != NULL and parsed < count and group.count < GROUP:
                    p = _parse(path.symbols, group, p, end)
                    parsed += p != NULL
                _fetch_symbols(path.symbols, &groups[(turn - 1) % STAGES])
                _fetch_windows(path.symbols, &groups[(turn - 2) % STAGES])
                group = &groups[(turn - 3) % STAGES]
                _fold(path, group, base_offset, first_offset, arrived, process)
                done += group.count
                if done == parsed and (p == NULL or parsed >= count):
                    return done, p == end
                turn += 1
        finally:
            path._end()
    finally:
        PyBuffer_Release(&buffer)


cdef inline const uint8_t* _parse(Symbols symbols, group_t* group, const uint8_t* p, const uint8_t* end) noexcept:
    """Add the next record to a group. Returns where it ends; NULL: it is not as it should be."""
    cdef coming_t* one = &group.records[group.count]
    p = read_record(p, end, &one.record)
    if p != NULL:
        group.count += 1
        one.hashed = 0
        if one.record.key != NULL:
            one.hashed = _hash(one.record.key, one.record.key_size)
            prefetch(symbols.place(one.hashed))
    return p


# A symbol is looked up again for each stage: what was folded meanwhile may have removed it.

cdef void _fetch_symbols(Symbols symbols, group_t* group) noexcept:
    cdef PyObject* symbol
    cdef int number
    for number in range(group.count):
        symbol = symbols.at_place(group.records[number].hashed)
        if symbol != NULL:
            prefetch_object(symbol, SYMBOL_SIZE)


cdef void _fetch_windows(Symbols symbols, group_t* group) noexcept:
    cdef PyObject* symbol
    cdef PyObject* window
    cdef int number
    for number in range(group.count):
        symbol = symbols.at_place(group.records[number].hashed)
        if symbol != NULL:
            window = <PyObject*>(<Symbol>symbol).held
            if window != <PyObject*>None:
                prefetch_object(window, FOLDED)


cdef int _fold(
    FastPath path, group_t* group, int64_t base_offset, int64_t first_offset, object arrived, object process
) except -1:
    cdef const record_t* r
    cdef int64_t offset
    cdef int number
    for number in range(group.count):
        r = &group.records[number].record
        offset = base_offset + r.offset_delta
        if offset < first_offset:
            continue
        if r.key != NULL and r.value != NULL and (path.usual or path._ready()):
            if path._tick(r.key, r.key_size, group.records[number].hashed, r.value, r.value_size, offset) != LEFT:
                path.next_offset = offset + 1
                continue
        path._leave(_raw(r, offset, arrived), process)
    return 0
