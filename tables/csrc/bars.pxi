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


@cython.boundscheck(True)  # somebody else may change the lists between two batches
@cython.final
cdef class Bars:
    """The bars of a step: records `(key, value, start, headers)`, or written into a batch at once.

    Each window is freed on the way.
    """

    cdef list symbols, windows, headers
    cdef object states  # a sequence, or None
    cdef bytes suffix, times, closed, ending
    cdef object start, state_header, plain_value
    cdef Py_ssize_t at, end
    cdef bint fits, stored
    # of the next bar:
    cdef const uint8_t* key
    cdef int64_t key_size

    def __init__(
        self, list symbols, list windows, states, tuple pieces, object start, list headers, object state_header,
        object plain_value,
    ):
        """`windows` are empty where there are only `states`. `pieces`: what the bars share, see `tables.emission`.

        `state_header`: the name of a header with the state; None: they have none. `plain_value` makes the value of a bar that
        is unusual.
        """
        self.symbols, self.windows, self.states = symbols, windows, states
        self.suffix, self.times, self.closed, self.ending = pieces
        self.start, self.headers, self.state_header, self.plain_value = start, headers, state_header, plain_value
        self.at, self.end = 0, len(symbols)
        self.stored = not windows
        if len(states if self.stored or state_header is not None else windows) < self.end or not (
            self.stored or len(windows) == self.end
        ):
            raise ValueError("a step has fewer windows or states than symbols")
        self.fits = len(self.times) + len(self.closed) + len(self.ending) <= MOST_PIECES

    def __iter__(self):
        return self

    def __next__(self):
        cdef char[MOST_BAR] text
        cdef char* stop
        cdef bytes key, value
        cdef list headers = self.headers
        if self.at == self.end:
            self.windows.clear()
            raise StopIteration
        stop = self._put_bar(text)
        value = self._unusual() if stop == NULL else PyBytes_FromStringAndSize(text, stop - text)
        key = PyBytes_FromStringAndSize(<const char*>self.key, self.key_size)
        if self.state_header is not None:
            headers = [*headers, (self.state_header, self.states[self.at])]
        self._next()
        return _joined(key, self.suffix), value, self.start, headers

    def write_into(self, BatchBuilder batch not None):
        """Write the bars that are left into a batch. Returns whether all of them fitted."""
        cdef char[MOST_BAR] text
        cdef char* stop
        cdef bytes value, headers, suffix = self.suffix
        cdef const uint8_t* content
        cdef const uint8_t* state = NULL
        cdef int64_t start = self.start, size
        cdef Py_ssize_t state_size = 0
        if self.state_header is None:
            headers = _packed_headers(self.headers)
        else:
            headers = _packed_headers([*self.headers, (self.state_header, b"")])
            headers = headers[: PyBytes_GET_SIZE(headers) - 1]  # without the size of an empty state
        while self.at < self.end:
            self._fetch_ahead()
            stop = self._put_bar(text)
            if stop == NULL:
                value = self._unusual()
                content, size = <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
            else:
                content, size = <const uint8_t*>text, stop - text
            if self.state_header is not None:
                state = self._state(&state_size)
            if not batch.add(
                start, self.key, self.key_size, <const uint8_t*>PyBytes_AS_STRING(suffix), PyBytes_GET_SIZE(suffix),
                content, size, headers, state, state_size,
            ):
                return False
            self._next()
        self.windows.clear()
        return True

    cdef inline const uint8_t* _state(self, Py_ssize_t* size) except NULL:
        """The state of the next bar. It belongs to the sequence of states."""
        cdef bytes state
        if type(self.states) is States:
            return (<States>self.states).state(self.at, size)  # nobody shortens it
        state = self.states[self.at]
        size[0] = PyBytes_GET_SIZE(state)
        return <const uint8_t*>PyBytes_AS_STRING(state)

    cdef inline int _next(self) except -1:
        if not self.stored:
            self.windows[self.at] = None
        self.at += 1
        return 0

    cdef inline void _fetch_ahead(self) noexcept:
        """Have the memory of the bars that come soon brought into the cache."""
        prefetch_ahead(self.symbols, self.at, PyList_GET_SIZE(self.symbols))
        if not self.stored:
            fetch_window(self.windows, self.at)

    cdef bytes _unusual(self):
        cdef object window = plain_unpack(self.states[self.at]) if self.stored else self.windows[self.at]
        return self.plain_value(self.symbols[self.at], window)

    cdef char* _put_bar(self, char* text) except? NULL:
        """Write the value of the next bar, and note its key. Returns where it ends; NULL: it is unusual."""
        cdef object symbol = self.symbols[self.at]
        cdef object window
        cdef bytes named
        cdef window_t read
        cdef const window_t* w = NULL
        cdef const uint8_t* state
        cdef Py_ssize_t state_size = 0
        cdef const uint8_t* bar
        cdef char* at
        if type(symbol) is Symbol:
            self.key, self.key_size = _bytes_of(<Symbol>symbol), (<Symbol>symbol).key_size
        else:
            named = (<Longer?>symbol).key
            self.key, self.key_size = <const uint8_t*>PyBytes_AS_STRING(named), PyBytes_GET_SIZE(named)
        if self.stored:
            state = self._state(&state_size)
            if unpack_window(state, state_size, &read):
                w = &read
        else:
            window = self.windows[self.at]
            if type(window) is Window:
                w = &(<Window>window).w
        if not self.fits or w == NULL or self.key_size > MAX_KEY:
            return NULL
        bar = <const uint8_t*>memchr(self.key, c"|", self.key_size)
        if bar == NULL:
            return NULL
        memcpy(text, b'{"broker":"', 11)
        at = _put_escaped(text + 11, self.key, bar - self.key)
        memcpy(at, b'","symbol":"', 12)
        at = _put_escaped(at + 12, bar + 1, self.key_size - (bar - self.key) - 1)
        memcpy(at, b'",', 2)
        at = put_prices(_put(at + 2, self.times), w)
        if at == NULL:
            return NULL
        at = put_int(_put(at, self.closed), w.first_offset)
        memcpy(at, b',"last_offset":', 15)
        at = put_int(at + 15, w.last_offset)
        return _put(at, self.ending)


cdef bytes _joined(bytes one, bytes other):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(one) + PyBytes_GET_SIZE(other))
    cdef char* at = PyBytes_AS_STRING(made)
    memcpy(at, PyBytes_AS_STRING(one), PyBytes_GET_SIZE(one))
    memcpy(at + PyBytes_GET_SIZE(one), PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other))
    return made
