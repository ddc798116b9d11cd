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
    cdef list states = []
    cdef object window
    for window in windows:
        states.append(_pack(&(<Window>window).w, (<Window>window).w.end) if type(window) is Window else plain_pack(window))
    return states


@cython.boundscheck(True)
def merge_all(list longers, list parts, Py_ssize_t frame, object end, list members, list changed):
    """See `tables.packed`."""
    cdef Py_ssize_t at, new = 0
    cdef Longer longer
    cdef object part, held
    if len(longers) != len(parts):
        raise ValueError("each symbol needs a part")
    for at in range(len(longers)):
        longer, part = longers[at], parts[at]
        held = longer.states[frame]
        if held is None:
            members.append(longer)
            new += 1
            longer.states[frame] = packed(part, end)
        else:
            longer.states[frame] = merged(held, part)
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
    return new


@cython.boundscheck(True)
def take_states(list members, Py_ssize_t frame, list changed):
    """See `tables.packed`."""
    cdef list taken = []
    cdef Longer longer
    for longer in members:
        taken.append(longer.states[frame])
        longer.states[frame] = None
        if not longer.changed:
            longer.changed = True
            changed.append(longer)
    return taken
