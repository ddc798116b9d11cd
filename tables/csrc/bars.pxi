# Bars as JSON, see `tables.emission`.

cdef enum:
    MOST_PIECES = 1_024  # bytes of what the bars of a step share
    MOST_BAR = 2 * 1_024 + 1_024 + 640 + 256  # a name that is escaped, these, and the window's numbers

assert MAX_KEY <= 1_024 and MAX_PRICES_TEXT <= 640


cdef inline char* _put(char* at, bytes piece):
    memcpy(at, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return at + PyBytes_GET_SIZE(piece)


cdef inline char* _put_escaped(char* at, const uint8_t* text, int64_t size):
    """Text of a JSON string: names have no control characters."""
    cdef int64_t number
    for number in range(size):
        if text[number] == c'"' or text[number] == c"\\":
            at[0] = c"\\"
            at += 1
        at[0] = <char>text[number]
        at += 1
    return at


def knows(symbols):
    """Whether the symbols of a step are those of this core."""
    return len(symbols) > 0 and (type(symbols[0]) is Symbol or type(symbols[0]) is Longer)


def take_bars(
    list symbols, list windows, list states, int64_t begin, int64_t end, tuple pieces, object start, list headers,
    object state_header, object plain_value,
):
    """Records `(key, value, start, headers)` of the bars from one place in a step to another. Each window is freed.

    `windows` are empty where there are only `states`. `pieces`: what the bars of the step share, see `tables.emission`.
    `state_header`: the name of a header with the state; None: they have none. `plain_value` makes the value of a bar that is
    unusual.
    """
    cdef bytes suffix, times, closed, last, ending, value, key
    cdef char[MOST_BAR] text
    cdef char* at
    cdef char* after
    cdef object symbol, window
    cdef window_t read
    cdef const window_t* w
    cdef const uint8_t* name
    cdef const uint8_t* bar
    cdef int64_t place
    cdef bint fits, stored = not windows
    cdef list records = [], own = headers
    cdef int64_t key_size
    suffix, times, closed, last, ending = pieces
    if stored and (states is None or len(states) < end):
        raise ValueError("a step has neither windows nor states")
    fits = len(times) + len(closed) + len(last) + len(ending) <= MOST_PIECES
    for place in range(begin, end):
        symbol = symbols[place]
        key = (<Symbol>symbol).key if type(symbol) is Symbol else (<Longer?>symbol).key
        w = NULL
        if stored:
            window = states[place]
            if _unpack(window, &read):
                w = &read
        else:
            window = windows[place]
            windows[place] = None
            if type(window) is Window:
                w = &(<Window>window).w
        name = <const uint8_t*>PyBytes_AS_STRING(key)
        key_size = PyBytes_GET_SIZE(key)
        value = None
        bar = <const uint8_t*>memchr(name, c"|", key_size)
        if fits and w != NULL and bar != NULL and key_size <= MAX_KEY:
            at = text
            memcpy(at, b'{"broker":"', 11)
            at = _put_escaped(at + 11, name, bar - name)
            memcpy(at, b'","symbol":"', 12)
            at = _put_escaped(at + 12, bar + 1, key_size - (bar - name) - 1)
            memcpy(at, b'",', 2)
            at = _put(at + 2, times)
            after = put_prices(at, w)
            if after != NULL:
                at = _put(after, closed)
                at = put_int(at, w.first_offset)
                memcpy(at, b',"last_offset":', 15)
                at = put_int(at + 15, w.last_offset)
                at = _put(_put(at, last), ending)
                value = PyBytes_FromStringAndSize(text, at - text)
        if value is None:
            value = plain_value(symbol, plain_unpack(window) if stored else window)
        if state_header is not None:
            own = [*headers, (state_header, states[place])]
        records.append((_joined(key, suffix), value, start, own))
    return records


cdef bytes _joined(bytes one, bytes other):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(one) + PyBytes_GET_SIZE(other))
    cdef char* at = PyBytes_AS_STRING(made)
    memcpy(at, PyBytes_AS_STRING(one), PyBytes_GET_SIZE(one))
    memcpy(at + PyBytes_GET_SIZE(one), PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other))
    return made
