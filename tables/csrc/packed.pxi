# Windows as bytes, many at once, see `tables.packed`.

cdef bytes _pack(const window_t* w, int64_t end):
    cdef char[MAX_PACKED] text
    return PyBytes_FromStringAndSize(text, pack_window(text, w, end) - text)


cpdef bytes packed(object part, object end):
    """See `tables.packed`."""
    cdef window_t read
    if type(part) is Window:
        return _pack(&(<Window>part).w, end)
    if type(part) is bytes and unpack_window(<const uint8_t*>PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part), &read):
        return _pack(&read, end)
    return plain_packed(part, end)


cpdef bytes merged(bytes state, object part):
    """See `tables.packed`."""
    cdef window_t held, read
    cdef const window_t* other = &read
    if unpack_window(<const uint8_t*>PyBytes_AS_STRING(state), PyBytes_GET_SIZE(state), &held):
        if type(part) is Window:
            other = &(<Window>part).w
        elif type(part) is not bytes or not unpack_window(
            <const uint8_t*>PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part), &read
        ):
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


def merge_all(list longers, list parts, Py_ssize_t frame, object end, list members, list changed):
    """See `tables.packed`."""
    cdef Py_ssize_t at, new = 0
    cdef Longer longer
    cdef object part, held
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
