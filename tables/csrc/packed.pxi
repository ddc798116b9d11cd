# Windows as bytes, many at once, see `tables.packed`.

cdef bytes _pack(const window_t* w, int64_t end):
    cdef char[MAX_PACKED] text
    return PyBytes_FromStringAndSize(text, pack_window(text, w, end) - text)


cdef inline bint _unpack(object state, window_t* read) noexcept:
    """Read a state; False where it is none, or this core cannot hold the window."""
    return type(state) is bytes and unpack_window(<const uint8_t*>PyBytes_AS_STRING(state), PyBytes_GET_SIZE(state), read)


cpdef bytes packed(object part, object end):
    """See `tables.packed`."""
    cdef window_t read
    if type(part) is Window:
        return _pack(&(<Window>part).w, end)
    if _unpack(part, &read):
        return _pack(&read, end)
    return plain_packed(part, end)


cpdef bytes merged(bytes state, object part):
    """See `tables.packed`."""
    cdef window_t held, read
    cdef const window_t* other = &read
    if _unpack(state, &held):
        if type(part) is Window:
            other = &(<Window>part).w
        elif not _unpack(part, &read):
            other = NULL
        if other != NULL and window_merge(&held, other):
            return _pack(&held, held.end)
    return plain_merged(state, (<Window>part).plain() if type(part) is Window else part)


def pack_all(list windows):
    """See `tables.packed`."""
    cdef States states = States(len(windows))
    cdef object window
    cdef Py_ssize_t at
    for at in range(len(windows)):
        fetch_window(windows, at)
        window = windows[at]
        if type(window) is Window:
            states.add(&(<Window>window).w, (<Window>window).w.end)
        else:
            states.add_bytes(plain_pack(window))
    return states.trimmed()


cdef int _merge(Longer longer, Py_ssize_t frame, const window_t* w, parts, Py_ssize_t at, end) except -1:
    """Merge a part into the open window of a frame. `w`: the same part; NULL: this core cannot hold it."""
    cdef PyObject* held = longer.held[frame]
    cdef Window made
    if held == NULL:
        if w == NULL or not _is_small(end):
            longer.put(frame, packed(parts[at], end))
            return 0
        made = Window.__new__(Window)
        made.w = w[0]
        made.w.end = end
        longer.put(frame, made)
    elif w == NULL or type(<object>held) is not Window or not window_merge(&(<Window>held).w, w):
        longer.put(frame, merged(longer.state(frame), parts[at]))
    return 0


cdef inline void _fetch_longer(list longers, Py_ssize_t at, Py_ssize_t frame) noexcept:
    """Have the memory of those that come soon brought into the cache: the symbol's, and then that of its window."""
    cdef PyObject* longer
    if at + 2 * NEAR < PyList_GET_SIZE(longers):
        prefetch_object(<const void*>PyList_GET_ITEM(longers, at + 2 * NEAR), LONGER_SIZE)
    if at + NEAR < PyList_GET_SIZE(longers):
        longer = <PyObject*>PyList_GET_ITEM(longers, at + NEAR)
        if type(<object>longer) is Longer and (<Longer>longer).held[frame] != NULL:
            prefetch_object((<Longer>longer).held[frame], sizeof(window_t))


def longers_of(list symbols, make):
    """What these symbols have of longer windows; `make` gives that of a symbol which is not known to have any."""
    cdef list found = []
    cdef Symbol symbol
    cdef Py_ssize_t at
    for at in range(len(symbols)):
        prefetch_ahead(symbols, at, PyList_GET_SIZE(symbols))
        symbol = symbols[at]
        if symbol.longer is None:
            symbol.longer = make(symbol)
        found.append(symbol.longer)
    return found


def forget_longer(Symbol symbol):
    """Let a symbol forget what it had of longer windows."""
    symbol.longer = None


def keys_of(items):
    """The keys of symbols, or of what they have of longer windows."""
    cdef list keys = []
    cdef object item
    for item in items:
        keys.append((<Symbol>item).key if type(item) is Symbol else item.key)
    return tuple(keys)


@cython.boundscheck(True)
def merge_all(list longers, parts, Py_ssize_t frame, end, list members, list changed):
    """See `tables.packed`."""
    cdef Py_ssize_t at = 0, size = 0, new = 0
    cdef Longer longer
    cdef States states = parts if type(parts) is States else None
    cdef const uint8_t* state
    cdef const window_t* w
    cdef window_t read
    cdef object part
    if len(longers) != len(parts):
        raise ValueError("each symbol needs a part")
    for longer in longers:
        longer.check(frame)
        _fetch_longer(longers, at, frame)
        w = NULL
        if states is not None:
            state = states.state(at, &size)
            if unpack_window(state, size, &read):
                w = &read
        else:
            if type(parts) is list:
                fetch_window(<list>parts, at)
            part = parts[at]
            if type(part) is Window:
                w = &(<Window>part).w
            elif _unpack(part, &read):
                w = &read
        if longer.held[frame] == NULL:
            members.append(longer)
            new += 1
        _merge(longer, frame, w, parts, at, end)
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
        at += 1
    return new


@cython.boundscheck(True)
def take_states(list members, Py_ssize_t frame, list changed):
    """See `tables.packed`."""
    cdef States taken = States(len(members))
    cdef Longer longer
    cdef PyObject* held
    cdef Py_ssize_t at = 0
    for longer in members:
        longer.check(frame)
        _fetch_longer(members, at, frame)
        held = longer.held[frame]
        if held == NULL:
            raise ValueError("a symbol has no open window of this frame")
        if type(<object>held) is Window:
            taken.add(&(<Window>held).w, (<Window>held).w.end)
        else:
            taken.add_bytes(<bytes>held)
        longer.put(frame, None)
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
        at += 1
    return taken.trimmed()
