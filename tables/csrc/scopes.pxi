# Buckets, scopes and symbols, see `tables.scopes`.

@cython.final
cdef class Bucket:
    """The open windows of a scope that have the same end, see `tables.scopes.Bucket`."""

    cdef readonly int64_t end
    cdef public int64_t last_opened_at
    cdef public list symbols

    def __init__(self, int64_t end, int64_t last_opened_at):
        self.end = end
        self.last_opened_at = last_opened_at
        self.symbols = []


def new_bucket(end, last_opened_at):
    """A bucket: one of `tables.scopes` where its times do not fit."""
    return Bucket(end, last_opened_at) if _is_small(end) and _is_small(last_opened_at) else PlainBucket(end, last_opened_at)


@cython.final
cdef class Scope:
    """A stream time, and the windows that share it, see `tables.scopes.Scope`.

    A time that does not fit into its field is kept in `large`, and then the fast path leaves the scope alone.
    """

    cdef readonly str key
    cdef readonly dict buckets
    cdef public list longer
    cdef public object longer_end
    cdef public object flat_end
    cdef public object written
    cdef dict large
    cdef int64_t c_stream_time, c_advanced_at, c_deadline, c_entry
    cdef bint waits  # to be scheduled, see `Intake._move`
    cdef Bucket recent  # the bucket that the fast path found last; forgotten when buckets change

    def __init__(self, str key, stream_time=_UNKNOWN, advanced_at=0):
        self.key = key
        self.buckets = {}
        self.longer = []
        self.longer_end = self.flat_end = _NEVER
        self.written = 0
        self.stream_time = stream_time
        self.advanced_at = advanced_at
        self.c_deadline = self.c_entry = NEVER

    cdef object _get(self, str name, int64_t held):
        if self.large is not None and name in self.large:
            return self.large[name]
        return held

    cdef bint _set(self, str name, object number) except -1:
        """Whether it fits; if not, it has been kept."""
        if _is_small(number) or number == _NEVER or number == _UNKNOWN:
            if self.large is not None:
                self.large.pop(name, None)
                if not self.large:
                    self.large = None
            return True
        if self.large is None:
            self.large = {}
        self.large[name] = number
        return False

    @property
    def stream_time(self):
        return self._get("stream_time", self.c_stream_time)

    @stream_time.setter
    def stream_time(self, number):
        if self._set("stream_time", number):
            self.c_stream_time = number

    @property
    def advanced_at(self):
        return self._get("advanced_at", self.c_advanced_at)

    @advanced_at.setter
    def advanced_at(self, number):
        if self._set("advanced_at", number):
            self.c_advanced_at = number

    @property
    def deadline(self):
        return self._get("deadline", self.c_deadline)

    @deadline.setter
    def deadline(self, number):
        if self._set("deadline", number):
            self.c_deadline = number

    @property
    def entry(self):
        return self._get("entry", self.c_entry)

    @entry.setter
    def entry(self, number):
        if self._set("entry", number):
            self.c_entry = number

    @property
    def record_key(self):
        """Key of its record in the changelog."""
        return f"{self.key}|".encode()

    def due(self, grace):
        """See `tables.scopes.Scope.due`."""
        cdef Bucket bucket
        lead = self.advanced_at - self.stream_time + grace
        soonest = first = _NEVER
        for end, one in self.buckets.items():
            at, filled = lead + end, one.last_opened_at + grace
            if filled > at:
                at = filled
            if at < soonest or (at == soonest and end < first):
                soonest, first = at, end
        longer = self.longer_end
        return (longer + lead, longer) if longer != _NEVER and self.is_longer_only(longer) else (soonest, first)

    def is_longer_only(self, end):
        """See `tables.scopes.Scope.is_longer_only`."""
        return not self.buckets or end < min(self.buckets)

    def settle(self, grace):
        """See `tables.scopes.Scope.settle`."""
        self.recent = None
        first = min(self.buckets) if self.buckets else _NEVER
        if self.longer:
            self.longer_end = min([bucket.end for bucket in self.longer if bucket is not None], default=_NEVER)
            first = min(first, self.longer_end)
        first = min(first, self.flat_end)
        self.deadline = _NEVER if first == _NEVER else first + grace


cdef enum:
    HEAD = 32  # bytes of a key beside its symbol: most keys lie there as a whole
    SYMBOL_SIZE = 128  # bytes of a symbol
    NEAR = 8  # symbols that are brought into the cache ahead, where many are visited

cdef dict _NONE = {}


cdef class Longer  # see longer.pxi


@cython.final
cdef class Symbol:
    """One (broker, symbol) with its open windows, see `tables.scopes.Symbol`. Its texts are made when somebody asks."""

    cdef uint8_t[HEAD] head  # the beginning of its key
    cdef uint32_t key_size
    cdef uint32_t rank  # its place in the order of bars, see `Symbols`
    cdef uint8_t is_dirty
    cdef uint8_t is_ranked
    cdef object held  # the current window, of either kind, or None
    cdef object second  # another one; it is older than those in `more`
    cdef readonly bytes key
    cdef readonly Scope scope
    cdef dict more  # the others, by end; None where there are none, as a dictionary takes more memory than a symbol
    cdef public int64_t written
    cdef Longer longer  # what it has of longer windows, if that was asked for

    def __init__(self, bytes key, name, Scope scope):
        _name_symbol(self, key, scope)

    @property
    def name(self):
        """Broker and symbol."""
        return _name_of(self.key)

    @property
    def order(self):
        """See `tables.scopes.order_of`."""
        return self.key.decode().replace("|", "\0")

    @property
    def json(self):
        """The beginning of its bars' JSON."""
        return head_of(self.name)

    @property
    def current(self):
        return self.held

    @current.setter
    def current(self, window):
        self.held = window

    @property
    def others(self):
        if self.second is None:
            return _NONE if self.more is None else self.more
        return {self.second.end: self.second} if self.more is None else {self.second.end: self.second, **self.more}

    @property
    def dirty(self):
        return bool(self.is_dirty)

    @dirty.setter
    def dirty(self, bint dirty):
        self.is_dirty = dirty

    @property
    def resting(self):
        """Whether it has no open window."""
        return self.held is None and self.is_alone()

    cdef inline bint is_alone(self) noexcept:
        """Whether the current window is the only one."""
        return self.second is None and self.more is None

    def windows(self):
        """All open windows."""
        cdef list found = [window for window in (self.held, self.second) if window is not None]
        if self.more is not None:
            found += self.more.values()
        return found

    def switch_to(self, end):
        """See `tables.scopes.Symbol.switch_to`."""
        current = self.held
        if current is not None and current.end == end:
            return current
        window = self.take_other(end)
        if window is not None:
            self.open(window)
        return window

    cdef object take_other(self, end):
        """Remove one of the others; None where none of them has this end."""
        window = self.second
        if window is not None and window.end == end:
            self.second = None
            return window
        if self.more is None:
            return None
        window = self.more.pop(end, None)
        if not self.more:
            self.more = None
        return window

    def open(self, window):
        """Add a window and make it the current one."""
        if self.held is not None:
            if self.is_alone():
                self.second = self.held
            else:
                if self.more is None:
                    self.more = {}
                self.more[self.held.end] = self.held
        self.held = window

    def fold(self, price, qty, ts, seq, offset):
        """Add a tick to the current window, which becomes one of `tables.window` where its numbers do not fit."""
        cdef fold_t tick
        if type(self.held) is Window:
            if _fold_of(price, qty, ts, seq, offset, &tick) and window_fold(&(<Window>self.held).w, &tick):
                return
            self.held = (<Window>self.held).plain()
        self.held.fold(price, qty, ts, seq, offset)


cdef tuple _name_of(bytes key):
    broker, _, symbol = key.decode().partition("|")
    return broker, symbol


cdef void _name_symbol(Symbol symbol, bytes key, Scope scope):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key)
    symbol.key = key
    symbol.scope = scope
    symbol.key_size = <uint32_t>size
    memcpy(symbol.head, PyBytes_AS_STRING(key), min(size, <Py_ssize_t>HEAD))


cdef inline uint64_t _hash(const uint8_t* key, int64_t size) noexcept nogil:
    """A hash of a key, with a seed: nobody outside can choose keys that collide."""
    cdef uint64_t state = SEED ^ (<uint64_t>size * <uint64_t>0x9E3779B97F4A7C15)
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, key, 8)
        state = (state ^ word) * <uint64_t>0xBF58476D1CE4E5B9
        state ^= state >> 29
        key += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, key, size)
        state = (state ^ word) * <uint64_t>0xBF58476D1CE4E5B9
        state ^= state >> 29
    state = (state ^ SEED) * <uint64_t>0x94D049BB133111EB
    return state ^ state >> 31


cdef struct entry_t:
    uint64_t hash
    PyObject* symbol  # NULL: none. The dictionary keeps it in memory.


cdef struct ordered_t:
    uint64_t prefix
    PyObject* symbol
