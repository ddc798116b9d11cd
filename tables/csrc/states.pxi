# What leaves a checkpoint: windows that close, and states.

def take_windows(list symbols, int64_t end, bint per_symbol, list changed):
    """See `tables.open_windows`: remove the windows with this end from their symbols."""
    cdef list windows = []
    cdef Symbol symbol
    cdef object window
    cdef Py_ssize_t at = 0, count = len(symbols)
    for symbol in symbols:
        prefetch_ahead(symbols, at, count)
        at += 1
        window = symbol.held
        if window is not None and (symbol.is_alone() or window.end == end):
            symbol.held = None
        else:
            window = symbol.take_other(end)
            if window is None:
                raise KeyError(end)
        windows.append(window)
        if per_symbol and not symbol.is_dirty:
            symbol.is_dirty = 1
            changed.append(symbol)
    return windows


def state_of(list windows, *clock):
    """The value of a symbol's record, see `tables.state.SymbolState`."""
    cdef char[MAX_STATE_TEXT + 64] text
    cdef char* at = text
    cdef object window
    if len(windows) == 1 and type(windows[0]) is Window:
        at[0] = c"["
        at[1] = c"["
        at = put_state(at + 2, &(<Window>windows[0]).w)
        at[0] = c"]"
        at += 1
        for number in clock:
            if not _is_small(number):
                break
            at[0] = c","
            at = put_int(at + 1, number)
        else:
            at[0] = c"]"
            return PyBytes_FromStringAndSize(text, at + 1 - text)
    return encode_state((plain(windows), *clock))


cdef enum:
    STATES_AT_ONCE = 1_000


cdef inline bint _is_held(int64_t number) noexcept:
    return -(1LL << 59) < number < 1LL << 59


def states_of(list symbols, Py_ssize_t at, int64_t number, list keys, dict parts, bint clocks):
    """The records of symbols from a place on, and the place where this stopped: before the first that is unusual.

    It notes `number` of the checkpoint in each symbol, and appends the key of each record to `keys`. `parts` has the keys of
    states that are split; `clocks`: states hold the scope's clock.
    """
    cdef char* text
    cdef char* end
    cdef Py_ssize_t stop = min(len(symbols), at + STATES_AT_ONCE)
    cdef list own = []
    cdef States values = None
    cdef Symbol symbol
    cdef Scope scope
    cdef object window
    while at < stop:
        prefetch_ahead(symbols, at, stop)
        symbol = symbols[at]
        window = symbol.held
        if not symbol.is_alone() or (window is not None and type(window) is not Window) or (parts and symbol.key in parts):
            break
        if window is None and not clocks:
            symbol.written = -number  # it has no state that is live
            at += 1
            continue
        scope = symbol.scope
        if clocks and (scope.large is not None or not _is_held(scope.c_stream_time) or not _is_held(scope.c_advanced_at)):
            break
        if values is None:
            values = States(stop - at)
        text = values.place(MAX_STATE_TEXT + 64)
        text[0] = text[1] = c"["
        end = text + 2
        if window is not None:
            end = put_state(end, &(<Window>window).w)
        end[0] = c"]"
        end += 1
        if clocks:
            end[0] = c","
            end = put_int(end + 1, scope.c_stream_time)
            end[0] = c","
            end = put_int(end + 1, scope.c_advanced_at)
        end[0] = c"]"
        values.placed(end + 1 - text)
        own.append(symbol.key)
        symbol.written = number
        at += 1
    keys += own
    return _records(own, values), at


def skip_written(Symbols symbols, dict further, list keys, int64_t number, Py_ssize_t visits):
    """Remove keys from the end of a list, up to one whose record this checkpoint wrote last, or that is none of a symbol.

    Returns how many visits are left. `further`: see `tables.further.Further.items`.
    """
    cdef object found
    cdef int64_t written
    while visits > 0 and keys:
        found = dict.get(symbols, keys[len(keys) - 1])
        if type(found) is Symbol:
            written = (<Symbol>found).written
        else:
            found = further.get(keys[len(keys) - 1])
            if type(found) is not Longer:
                break
            written = (<Longer>found).written
        if written == number:
            break
        keys.pop()
        visits -= 1
    return visits
