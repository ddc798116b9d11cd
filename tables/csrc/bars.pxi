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
    return len(symbols) > 0 and type(symbols[0]) is Symbol


def take_bars(
    list symbols, list windows, int64_t begin, int64_t end, tuple pieces, object start, object headers, object plain_value
):
    """Records `(key, value, start, headers)` of the bars from one place in a step to another. Each window is freed.

    `pieces`: what the bars of the step share, see `tables.emission`. `plain_value` makes the value of a bar that is unusual.
    """
    cdef bytes suffix, times, closed, last, ending, value
    cdef char[MOST_BAR] text
    cdef char* at
    cdef char* after
    cdef Symbol symbol
    cdef object window
    cdef const uint8_t* key
    cdef const uint8_t* bar
    cdef int64_t place
    cdef bint fits
    cdef list records = []
    cdef int64_t key_size, suffix_size
    suffix, times, closed, last, ending = pieces
    suffix_size = PyBytes_GET_SIZE(suffix)
    fits = len(times) + len(closed) + len(last) + len(ending) <= MOST_PIECES
    for place in range(begin, end):
        symbol = symbols[place]
        window = windows[place]
        windows[place] = None
        key = <const uint8_t*>PyBytes_AS_STRING(symbol.key)
        key_size = symbol.key_size
        value = None
        bar = <const uint8_t*>memchr(key, c"|", key_size)
        if fits and type(window) is Window and bar != NULL and key_size <= MAX_KEY:
            at = text
            memcpy(at, b'{"broker":"', 11)
            at = _put_escaped(at + 11, key, bar - key)
            memcpy(at, b'","symbol":"', 12)
            at = _put_escaped(at + 12, bar + 1, key_size - (bar - key) - 1)
            memcpy(at, b'",', 2)
            at = _put(at + 2, times)
            after = put_prices(at, &(<Window>window).w)
            if after != NULL:
                at = _put(after, closed)
                at = put_int(at, (<Window>window).w.first_offset)
                memcpy(at, b',"last_offset":', 15)
                at = put_int(at + 15, (<Window>window).w.last_offset)
                at = _put(_put(at, last), ending)
                value = PyBytes_FromStringAndSize(text, at - text)
        if value is None:
            value = plain_value(symbol, window)
        records.append((_joined(symbol.key, suffix), value, start, headers))
    return records


cdef bytes _joined(bytes one, bytes other):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(one) + PyBytes_GET_SIZE(other))
    cdef char* at = PyBytes_AS_STRING(made)
    memcpy(at, PyBytes_AS_STRING(one), PyBytes_GET_SIZE(one))
    memcpy(at + PyBytes_GET_SIZE(one), PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other))
    return made
