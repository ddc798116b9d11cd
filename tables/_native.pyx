# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native core: windows, symbols and scopes as C structs, and the fast path over them. `tables.native` says when it is used.

It knows the usual case only. Whatever is unusual goes to the rules in Python before anything has been changed: they see the
same windows, symbols and scopes through the attributes of `tables.window` and `tables.scopes`. Tests compare both cores.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport PyObject
from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memchr, memcmp, memcpy

from decimal import Decimal

from tables.scopes import NEVER as _NEVER
from tables.scopes import UNKNOWN as _UNKNOWN
from tables.scopes import Bucket as PlainBucket
from tables.scopes import head_of
from tables.progress import CLOCK_STEP as _CLOCK_STEP
from tables.state import encode_state
from tables.ticks import MAX_KEY as _MAX_KEY
from tables.window import Window as PlainWindow
from tables.window import new_window as plain_window

cdef extern from "csrc/numbers.h":
    ctypedef struct wide:
        pass
    char* put_number(char* at, int64_t number, int scale)
    char* put_wide(char* at, wide number, int scale)
    char* put_int(char* at, int64_t number)
    enum: MAX_NUMBER_TEXT
    enum: MAX_DIGITS

cdef extern from "csrc/window.h":
    ctypedef struct window_t:
        int64_t end, ticks
        int64_t high, low, close, open
        int8_t high_scale, low_scale, close_scale, open_scale, volume_scale, notional_scale
        uint8_t sized
        int64_t close_ts, close_seq, close_offset, last_offset
        int64_t open_ts, open_seq, open_offset, first_offset
        int64_t high_ts, high_seq, high_offset
        int64_t low_ts, low_seq, low_offset
        int64_t opened_at
        wide volume
        wide notional
    ctypedef struct fold_t:
        int64_t ts, seq, offset
        int64_t price, qty
        int8_t price_scale, qty_scale
        uint8_t sized
    int window_begin(window_t* w, int64_t end, int64_t arrival, const fold_t* t)
    int window_fold(window_t* w, const fold_t* t)
    char* put_state(char* at, const window_t* w)
    char* put_prices(char* at, const window_t* w)
    enum: MAX_STATE_TEXT
    enum: MAX_PRICES_TEXT

cdef extern from "csrc/ticks.h":
    ctypedef struct tick_t:
        int64_t ts, seq
        int64_t price, qty
        int price_scale, qty_scale
        int sized
        const uint8_t* broker
        const uint8_t* symbol
        int64_t broker_size, symbol_size
    int read_tick(const uint8_t* p, const uint8_t* end, const char* price, size_t price_size, tick_t* t)

cdef extern from "csrc/records.h":
    ctypedef struct record_t:
        int64_t timestamp_delta, offset_delta
        const uint8_t* key
        const uint8_t* value
        int64_t key_size, value_size
        const uint8_t* headers
        const uint8_t* end
        int64_t header_count
    const uint8_t* read_record(const uint8_t* p, const uint8_t* end, record_t* r)
    const uint8_t* read_header(const uint8_t* p, const uint8_t* end, const uint8_t** name, int64_t* name_size,
                               const uint8_t** value, int64_t* value_size)
    void crc_prepare()
    uint32_t crc32c_of(const uint8_t* p, size_t size)

cdef int64_t NEVER = _NEVER
cdef int64_t UNKNOWN = _UNKNOWN
cdef int64_t CLOCK_STEP = _CLOCK_STEP
cdef int64_t MAX_KEY = _MAX_KEY
cdef int64_t LARGE = 1 << 59  # larger times and durations are left to Python, which cannot overflow
cdef uint64_t SEED = <uint64_t>(hash(b"barwheel") & 0xFFFFFFFFFFFFFFFF)  # differs in each process, as all hashes do

crc_prepare()

cdef extern from *:
    const char* SOURCES  # a macro of setup.py

sources = SOURCES.decode("ascii")  # SHA-256 of this file and of the headers, as they were when it was built


cdef bint _is_small(object number):
    return type(number) is int and -(1 << 59) < number < 1 << 59


# ---- numbers

cdef bint _fits(object number, int64_t* mantissa, int8_t* scale):
    """Take a `Decimal`, if it is finite, has at most 18 digits and 18 decimals, and is no negative zero."""
    cdef tuple digits
    sign, digits, exponent = number.as_tuple()
    if type(exponent) is not int or exponent > 0 or exponent < -MAX_DIGITS or len(digits) > MAX_DIGITS:
        return False
    cdef int64_t value = 0
    for digit in digits:
        value = value * 10 + <int64_t>digit
    if sign and not value:
        return False
    mantissa[0] = -value if sign else value
    scale[0] = <int8_t>-exponent
    return True


cdef object _decimal(int64_t mantissa, int scale):
    cdef char[MAX_NUMBER_TEXT] text
    return Decimal(text[:put_number(text, mantissa, scale) - text].decode("ascii"))


cdef object _wide_decimal(wide number, int scale):
    cdef char[MAX_NUMBER_TEXT] text
    return Decimal(text[:put_wide(text, number, scale) - text].decode("ascii"))


cdef bint _fold_of(object price, object qty, object ts, object seq, object offset, fold_t* made):
    if not (_is_small(ts) and _is_small(seq) and _is_small(offset)):
        return False
    made.ts, made.seq, made.offset = ts, seq, offset
    if not _fits(price, &made.price, &made.price_scale):
        return False
    made.sized = qty is not None
    return qty is None or _fits(qty, &made.qty, &made.qty_scale)


# ---- windows

@cython.final
cdef class Window:
    """An open window, see `tables.window.Window`. Its numbers have at most 18 digits, its sums 128 bits."""

    cdef window_t w

    @property
    def end(self):
        return self.w.end

    @property
    def ticks(self):
        return self.w.ticks

    @property
    def high(self):
        return _decimal(self.w.high, self.w.high_scale)

    @property
    def low(self):
        return _decimal(self.w.low, self.w.low_scale)

    @property
    def close(self):
        return _decimal(self.w.close, self.w.close_scale)

    @property
    def open(self):
        return _decimal(self.w.open, self.w.open_scale)

    @property
    def volume(self):
        return _wide_decimal(self.w.volume, self.w.volume_scale) if self.w.sized else None

    @property
    def notional(self):
        return _wide_decimal(self.w.notional, self.w.notional_scale) if self.w.sized else None

    @property
    def close_ts(self):
        return self.w.close_ts

    @property
    def close_seq(self):
        return self.w.close_seq

    @property
    def close_offset(self):
        return self.w.close_offset

    @property
    def last_offset(self):
        return self.w.last_offset

    @property
    def open_ts(self):
        return self.w.open_ts

    @property
    def open_seq(self):
        return self.w.open_seq

    @property
    def open_offset(self):
        return self.w.open_offset

    @property
    def first_offset(self):
        return self.w.first_offset

    @property
    def high_ts(self):
        return self.w.high_ts

    @property
    def high_seq(self):
        return self.w.high_seq

    @property
    def high_offset(self):
        return self.w.high_offset

    @property
    def low_ts(self):
        return self.w.low_ts

    @property
    def low_seq(self):
        return self.w.low_seq

    @property
    def low_offset(self):
        return self.w.low_offset

    @property
    def opened_at(self):
        return self.w.opened_at

    @opened_at.setter
    def opened_at(self, int64_t arrival):
        self.w.opened_at = arrival

    def vwap(self, *step):
        """See `tables.window.Window.vwap`."""
        return self.plain().vwap(*step)

    def plain(self):
        """The same window as `tables.window.Window`, which holds any number."""
        return PlainWindow(
            self.w.end, self.w.ticks, self.high, self.low, self.close, self.w.close_ts, self.w.close_seq, self.w.close_offset,
            self.w.last_offset, self.open, self.w.open_ts, self.w.first_offset, self.volume, self.notional, self.w.open_seq,
            self.w.open_offset, self.w.high_ts, self.w.high_seq, self.w.high_offset, self.w.low_ts, self.w.low_seq,
            self.w.low_offset, self.w.opened_at,
        )


cdef bint _adopt_sum(object number, wide* taken, int8_t* scale):
    """Take a sum of a stored window. Only one that a mantissa of 64 bits holds: it is rarely longer."""
    cdef int64_t mantissa
    if not _fits(number, &mantissa, scale):
        return False
    taken[0] = wide_of(mantissa)
    return True


cdef extern from "csrc/numbers.h":
    wide wide_of(int64_t number)


def adopted(window):
    """A window of `tables.window`, which was stored, as this core holds it: the same one where it does not fit."""
    cdef Window made = Window.__new__(Window)
    cdef window_t* w = &made.w
    cdef object number
    for number in (
        window.end, window.ticks, window.close_ts, window.close_seq, window.close_offset, window.last_offset, window.open_ts,
        window.open_seq, window.open_offset, window.first_offset, window.high_ts, window.high_seq, window.high_offset,
        window.low_ts, window.low_seq, window.low_offset, window.opened_at,
    ):
        if not _is_small(number):
            return window
    if not (
        _fits(window.high, &w.high, &w.high_scale)
        and _fits(window.low, &w.low, &w.low_scale)
        and _fits(window.close, &w.close, &w.close_scale)
        and _fits(window.open, &w.open, &w.open_scale)
    ):
        return window
    if window.volume is not None or window.notional is not None:
        if window.volume is None or window.notional is None:
            return window
        if not (
            _adopt_sum(window.volume, &w.volume, &w.volume_scale) and _adopt_sum(window.notional, &w.notional, &w.notional_scale)
        ):
            return window
        w.sized = 1
    w.end, w.ticks = window.end, window.ticks
    w.close_ts, w.close_seq, w.close_offset, w.last_offset = (
        window.close_ts, window.close_seq, window.close_offset, window.last_offset
    )
    w.open_ts, w.open_seq, w.open_offset, w.first_offset = window.open_ts, window.open_seq, window.open_offset, window.first_offset
    w.high_ts, w.high_seq, w.high_offset = window.high_ts, window.high_seq, window.high_offset
    w.low_ts, w.low_seq, w.low_offset = window.low_ts, window.low_seq, window.low_offset
    w.opened_at = window.opened_at
    return made


def first_window(end, arrival, price, qty, ts, seq, offset):
    """The window that a tick opens: one of `tables.window` where its numbers do not fit."""
    cdef fold_t tick
    cdef Window made
    if _is_small(end) and _is_small(arrival) and _fold_of(price, qty, ts, seq, offset, &tick):
        made = Window.__new__(Window)
        if window_begin(&made.w, end, arrival, &tick):
            return made
    window = plain_window(end, arrival, price, ts, seq, offset)
    if qty is not None:
        window.add_quantity(price, qty)
    return window


def plain(windows):
    """The windows as those of `tables.window`."""
    return [(<Window>window).plain() if type(window) is Window else window for window in windows]


# ---- symbols and scopes

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
    cdef bint waits  # to be scheduled, see `FastPath._move`
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

cdef dict _NONE = {}


@cython.final
cdef class Symbol:
    """One (broker, symbol) with its open windows, see `tables.scopes.Symbol`. Its texts are made when somebody asks."""

    cdef uint8_t[HEAD] head  # the beginning of its key
    cdef uint32_t key_size
    cdef uint32_t rank  # its place in the order of bars, see `Symbols`
    cdef uint8_t is_dirty
    cdef uint8_t is_ranked
    cdef object held  # the current window, of either kind, or None
    cdef readonly bytes key
    cdef readonly Scope scope
    cdef dict more
    cdef public int64_t written

    def __init__(self, bytes key, name, Scope scope):
        _name_symbol(self, key, scope)

    @property
    def name(self):
        """Broker and symbol."""
        broker, _, symbol = self.key.decode().partition("|")
        return broker, symbol

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
        return _NONE if self.more is None else self.more

    @property
    def dirty(self):
        return bool(self.is_dirty)

    @dirty.setter
    def dirty(self, bint dirty):
        self.is_dirty = dirty

    @property
    def resting(self):
        """Whether it has no open window."""
        return self.held is None and not self.more

    def windows(self):
        """All open windows."""
        if self.held is None:
            return [] if self.more is None else [*self.more.values()]
        return [self.held, *self.more.values()] if self.more else [self.held]

    def switch_to(self, end):
        """See `tables.scopes.Symbol.switch_to`."""
        current = self.held
        if current is not None and current.end == end:
            return current
        if self.more is None:
            return None
        window = self.more.get(end)
        if window is not None:
            del self.more[end]
            self.open(window)
        return window

    def open(self, window):
        """Add a window and make it the current one."""
        if self.held is not None:
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


ctypedef int (*comparison)(const void*, const void*) noexcept nogil


cdef inline uint8_t _order_byte(uint8_t byte) noexcept nogil:
    return 0 if byte == c"|" else byte


cdef int _compare_keys(Symbol one, Symbol other) noexcept:
    """As the texts of `order_of` compare: UTF-8 sorts like its characters."""
    cdef const uint8_t* a = <const uint8_t*>PyBytes_AS_STRING(one.key)
    cdef const uint8_t* b = <const uint8_t*>PyBytes_AS_STRING(other.key)
    cdef Py_ssize_t at, size = min(one.key_size, other.key_size)
    for at in range(size):
        if a[at] != b[at]:
            return <int>_order_byte(a[at]) - <int>_order_byte(b[at])
    return (one.key_size > other.key_size) - (one.key_size < other.key_size)


cdef int _by_key(const void* one, const void* other) noexcept:
    cdef const ordered_t* a = <const ordered_t*>one
    cdef const ordered_t* b = <const ordered_t*>other
    if a.prefix != b.prefix:
        return 1 if a.prefix > b.prefix else -1
    return _compare_keys(<Symbol>a.symbol, <Symbol>b.symbol)


cdef int _by_rank(const void* one, const void* other) noexcept:
    cdef uint64_t a = (<const ordered_t*>one).prefix, b = (<const ordered_t*>other).prefix
    return (a > b) - (a < b)


cdef uint64_t _prefix(Symbol symbol) noexcept:
    cdef uint64_t made = 0
    cdef int at
    for at in range(8):
        made = made << 8 | (_order_byte(symbol.head[at]) if at < <int>symbol.key_size else 0)
    return made


@cython.final
cdef class Symbols(dict):
    """Symbols by record key. Beside the dictionary there is a table by the hash of the key's bytes, for the fast path.

    It also keeps the order of bars, by broker and symbol, as a number of each symbol: a close sorts these.
    """

    cdef entry_t* table
    cdef uint64_t mask
    cdef Py_ssize_t used
    cdef Py_ssize_t ranks  # how many numbers were given
    cdef Py_ssize_t unranked  # symbols without a number, since then

    def __cinit__(self):
        self.mask = 1023
        self.table = <entry_t*>PyMem_Calloc(self.mask + 1, sizeof(entry_t))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.table)

    def __setitem__(self, bytes key, Symbol symbol):
        if key in self:
            raise KeyError("a symbol with this key is there")
        if key != symbol.key:
            raise KeyError("it has another key")
        dict.__setitem__(self, key, symbol)
        self._grow()
        self._put(_hash(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)), <PyObject*>symbol)
        self.used += 1
        self.unranked += 1
        symbol.is_ranked = 0

    def __delitem__(self, bytes key):
        cdef Symbol symbol = dict.__getitem__(self, key)
        self._remove(_hash(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)), <PyObject*>symbol)
        self.used -= 1
        if not symbol.is_ranked:
            self.unranked -= 1
        dict.__delitem__(self, key)

    def pop(self, *arguments):
        """Refused, as all ways around `__setitem__` and `__delitem__` are: the table would not follow."""
        raise TypeError("use del")

    def popitem(self):
        """Refused."""
        raise TypeError("use del")

    def clear(self):
        """Refused."""
        raise TypeError("use del")

    def update(self, *arguments):
        """Refused."""
        raise TypeError("set one after another")

    def setdefault(self, *arguments):
        """Refused."""
        raise TypeError("set one after another")

    cdef int _grow(self) except -1:
        cdef entry_t* former = self.table
        cdef uint64_t size = self.mask + 1, at
        if <uint64_t>self.used * 2 < size:
            return 0
        self.table = <entry_t*>PyMem_Calloc(size * 2, sizeof(entry_t))
        if self.table == NULL:
            self.table = former
            raise MemoryError
        self.mask = size * 2 - 1
        for at in range(size):
            if former[at].symbol != NULL:
                self._put(former[at].hash, former[at].symbol)
        PyMem_Free(former)
        return 0

    cdef void _put(self, uint64_t hashed, PyObject* symbol) noexcept:
        cdef uint64_t at = hashed & self.mask
        while self.table[at].symbol != NULL:
            at = (at + 1) & self.mask
        self.table[at].hash = hashed
        self.table[at].symbol = symbol

    cdef void _remove(self, uint64_t hashed, PyObject* symbol) noexcept:
        cdef uint64_t at = hashed & self.mask, gap, home
        while self.table[at].symbol != symbol:
            at = (at + 1) & self.mask
        gap = at
        while True:  # what comes behind moves up, unless it would leave its place
            at = (at + 1) & self.mask
            if self.table[at].symbol == NULL:
                break
            home = self.table[at].hash & self.mask
            if ((at - home) & self.mask) >= ((at - gap) & self.mask):
                self.table[gap] = self.table[at]
                gap = at
        self.table[gap].symbol = NULL

    cdef inline PyObject* find(self, const uint8_t* key, int64_t size, uint64_t hashed) noexcept:
        cdef uint64_t at = hashed & self.mask
        cdef Symbol symbol
        while self.table[at].symbol != NULL:
            if self.table[at].hash == hashed and _has_key(<Symbol>self.table[at].symbol, key, size):
                return self.table[at].symbol
            at = (at + 1) & self.mask
        return NULL

    cdef int _rank(self) except -1:
        """Give all symbols their numbers anew."""
        cdef Py_ssize_t count = len(self), at = 0
        cdef ordered_t* order = <ordered_t*>PyMem_Malloc((count + 1) * sizeof(ordered_t))
        cdef Symbol symbol
        if order == NULL:
            raise MemoryError
        for symbol in self.values():
            order[at].prefix = _prefix(symbol)
            order[at].symbol = <PyObject*>symbol
            at += 1
        qsort(order, count, sizeof(ordered_t), <comparison>_by_key)
        for at in range(count):
            symbol = <Symbol>order[at].symbol
            symbol.rank = <uint32_t>at
            symbol.is_ranked = 1
        PyMem_Free(order)
        self.ranks, self.unranked = count, 0
        return 0

    def sort(self, list symbols):
        """Sort some of the symbols by broker and symbol."""
        cdef Py_ssize_t count = len(symbols), at = 0
        cdef ordered_t* order
        cdef Symbol symbol
        cdef bint ranked
        cdef list former = list(symbols)
        if count < 2:
            return
        if self.unranked and count * 8 >= <Py_ssize_t>len(self):
            self._rank()
        ranked = not self.unranked
        order = <ordered_t*>PyMem_Malloc(count * sizeof(ordered_t))
        if order == NULL:
            raise MemoryError
        for symbol in former:
            order[at].prefix = symbol.rank if ranked else _prefix(symbol)
            order[at].symbol = <PyObject*>symbol
            at += 1
        if ranked:
            if count * 4 >= self.ranks:
                _scatter(order, count, self.ranks)
            else:
                qsort(order, count, sizeof(ordered_t), <comparison>_by_rank)
        else:
            qsort(order, count, sizeof(ordered_t), <comparison>_by_key)
        for at in range(count):
            symbols[at] = <object>order[at].symbol
        PyMem_Free(order)


cdef int _scatter(ordered_t* order, Py_ssize_t count, Py_ssize_t ranks) except -1:
    """Sort by numbers below `ranks`, each of which is there at most once."""
    cdef PyObject** places = <PyObject**>PyMem_Calloc(ranks, sizeof(void*))
    cdef Py_ssize_t at, place = 0
    if places == NULL:
        raise MemoryError
    for at in range(count):
        places[order[at].prefix] = order[at].symbol
    for at in range(ranks):
        if places[at] != NULL:
            order[place].symbol = places[at]
            place += 1
    PyMem_Free(places)
    return 0


cdef inline bint _has_key(Symbol symbol, const uint8_t* key, int64_t size) noexcept:
    if <int64_t>symbol.key_size != size:
        return False
    if size <= HEAD:
        return memcmp(symbol.head, key, size) == 0
    return memcmp(PyBytes_AS_STRING(symbol.key), key, size) == 0


def take_windows(list symbols, int64_t end, bint per_symbol, list changed):
    """See `tables.open_windows`: remove the windows with this end from their symbols."""
    cdef list windows = []
    cdef Symbol symbol
    cdef object window
    for symbol in symbols:
        window = symbol.held
        if window is not None and (not symbol.more or window.end == end):
            symbol.held = None
        else:
            window = symbol.more.pop(end)
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
    """Records `(key, state)` of symbols from a place on, and the place where this stopped: before the first that is unusual.

    It notes `number` of the checkpoint in each symbol, and appends the key of each record to `keys`. `parts` has the keys of
    states that are split; `clocks`: states hold the scope's clock.
    """
    cdef char[MAX_STATE_TEXT + 64] text
    cdef char* end
    cdef Py_ssize_t stop = min(len(symbols), at + STATES_AT_ONCE)
    cdef list records = []
    cdef Symbol symbol
    cdef Scope scope
    cdef object window
    while at < stop:
        symbol = symbols[at]
        window = symbol.held
        if symbol.more or (window is not None and type(window) is not Window) or (parts and symbol.key in parts):
            break
        if window is None and not clocks:
            symbol.written = -number  # it has no state that is live
            at += 1
            continue
        text[0] = text[1] = c"["
        end = text + 2
        if window is not None:
            end = put_state(end, &(<Window>window).w)
        end[0] = c"]"
        end += 1
        if clocks:
            scope = symbol.scope
            if scope.large is not None or not _is_held(scope.c_stream_time) or not _is_held(scope.c_advanced_at):
                break
            end[0] = c","
            end = put_int(end + 1, scope.c_stream_time)
            end[0] = c","
            end = put_int(end + 1, scope.c_advanced_at)
        end[0] = c"]"
        records.append((symbol.key, PyBytes_FromStringAndSize(text, end + 1 - text)))
        keys.append(symbol.key)
        symbol.written = number
        at += 1
    return records, at


# ---- Kafka's default partitioner

cdef inline uint32_t _murmur2(const uint8_t* p, uint32_t size) noexcept:
    cdef uint32_t m = 0x5bd1e995, h = <uint32_t>0x9747b28c ^ size, k
    while size >= 4:
        k = <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24
        k *= m
        k ^= k >> 24
        k *= m
        h = h * m ^ k
        p += 4
        size -= 4
    if size >= 3:
        h ^= <uint32_t>p[2] << 16
    if size >= 2:
        h ^= <uint32_t>p[1] << 8
    if size >= 1:
        h = (h ^ p[0]) * m
    h ^= h >> 13
    h *= m
    return h ^ h >> 15


def elsewhere(list keys, int64_t partition, int64_t partitions):
    """Those of the keys that Kafka's default partitioner (murmur2) puts into another partition."""
    cdef bytes key
    cdef int64_t hashed
    cdef list found = []
    for key in keys:
        hashed = _murmur2(<const uint8_t*>PyBytes_AS_STRING(key), <uint32_t>PyBytes_GET_SIZE(key)) & 0x7fffffff
        if hashed % partitions != partition:
            found.append(key)
    return found


# ---- the fast path

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


cdef enum Outcome:
    LEFT  # to Python; nothing has been changed
    BINNED


@cython.final
cdef class FastPath:
    """Folds ticks that arrived at the same time, as `tables.hot.FastPath` does, and with quantities as well."""

    cdef object windows, progress, schedule, silence
    cdef Symbols symbols
    cdef dict scopes
    cdef list new_keys
    cdef list changed
    cdef bytes price
    cdef const char* price_name
    cdef size_t price_size
    cdef int64_t size, grace, min_ts, ahead
    cdef bint positive, idle, per_symbol, per_broker
    cdef int bar_scale  # decimals that a price may have; -1: as many as it fits
    # while records are read:
    cdef int64_t arrived, arrival, latest, binned, opened, next_offset
    cdef bint usual
    cdef list waiting  # scopes to be scheduled
    cdef Scope known  # the scope that was looked up last, by the bytes of its broker
    cdef bytes known_broker

    def __init__(self, config, windows, scheduler, progress, silence):
        self.windows, self.progress, self.silence, self.schedule = windows, progress, silence, scheduler.schedule
        self.symbols = windows.symbols
        self.scopes = windows.scopes
        self.price = config.price.encode()
        self.price_name = PyBytes_AS_STRING(self.price)
        self.price_size = len(self.price)
        self.size, self.grace = config.window_size, config.grace
        self.min_ts = max(0, config.min_ts)  # C divides towards zero: earlier times are left to Python
        self.ahead = min(config.grace, config.max_future)
        self.positive, self.idle = config.positive, config.idle_close
        self.per_symbol, self.per_broker = config.scope == "symbol", config.scope == "broker"
        self.bar_scale = -1 if config.bar_scale is None else config.bar_scale
        self.waiting = []

    def feed(self, records, arrived, process):
        """Process records in offset order that all arrived at `arrived` (epoch ms).

        `process`: see `tables.hot`.
        """
        cdef bytes key, value
        cdef object offset
        self._begin(arrived)
        try:
            for record in records:
                keyed, held, offset = record.key, record.value, record.offset
                if type(keyed) is bytes and type(held) is bytes and _is_small(offset) and (
                    self.usual or (record.timestamp == arrived and self._ready())
                ):
                    key, value = keyed, held
                    if self._tick(
                        <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
                        <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), offset,
                    ) == BINNED:
                        self.next_offset = <int64_t>offset + 1
                        continue
                self._leave(record, process)
        finally:
            self._end()

    cdef int _begin(self, object arrived) except -1:
        cdef object latest
        self.changed, self.new_keys = self.windows.changed, self.windows.new_keys
        self.binned = self.opened = 0
        self.next_offset = self.progress.next_offset
        self.arrived = self.latest = 0
        self.usual = False
        if _is_small(arrived):
            self.arrived = arrived
            self.latest = self.arrived + self.ahead
            self._look()
        else:
            self.arrived = -1
        return 0

    cdef int _look(self) except -1:
        """Whether records that arrived now are usual, as far as the clocks say."""
        cdef object arrival = self.progress.arrival, timer = self.progress.timer
        self.usual = False
        if _is_small(arrival) and self.arrived >= 0:
            self.arrival = arrival
            self.usual = (
                timer < self.arrived
                and self.arrived <= self.arrival <= self.arrived + CLOCK_STEP
                and self.windows.cut != _NEVER
            )
        return 0

    cdef bint _ready(self) except -1:
        """Whether the clocks allow the fast path. If the arrival clock has just to move on, that is done."""
        if self.usual:
            return True
        if self.arrived < 0:
            return False
        self._flush()
        if self.silence.arrive(self.arrived):
            self._look()
        return self.usual

    cdef int _flush(self) except -1:
        """Write back what was counted, and schedule what waits."""
        cdef Scope scope
        self.progress.next_offset = self.next_offset
        if self.opened:
            self.windows.count += self.opened
            self.opened = 0
        if self.waiting:
            for scope in self.waiting:
                scope.waits = False
                self.schedule(scope)
            self.waiting.clear()
        return 0

    cdef int _leave(self, object record, object process) except -1:
        """Let the rules in Python have a record."""
        self._flush()
        process(record, None, None)
        self.next_offset = self.progress.next_offset
        if self.arrived >= 0:
            self._look()
        return 0

    cdef int _end(self) except -1:
        self._flush()
        counters = self.progress.counters
        counters.binned += self.binned
        counters.read += self.binned
        self.binned = 0
        self.changed = self.new_keys = None  # nothing is kept that others have taken
        return 0

    cdef Outcome _tick(
        self, const uint8_t* key, int64_t key_size, const uint8_t* value, int64_t value_size, int64_t offset
    ) except? LEFT:
        """Fold one tick, if it is usual."""
        cdef tick_t t
        cdef fold_t tick
        cdef PyObject* found
        cdef Symbol symbol
        cdef Scope scope
        cdef Window window
        cdef Bucket bucket
        cdef object other
        cdef int64_t end, first
        cdef const uint8_t* bar
        if key_size > MAX_KEY or not read_tick(value, value + value_size, self.price_name, self.price_size, &t):
            return LEFT
        if t.ts < self.min_ts or t.ts > self.latest:
            return LEFT
        if (self.positive and t.price <= 0) or (t.sized and t.qty < 0):
            return LEFT
        if self.bar_scale >= 0 and not self._fits_bar(&t):
            return LEFT
        found = self.symbols.find(key, key_size, _hash(key, key_size))
        if found != NULL:
            symbol = <Symbol>found
            scope = symbol.scope
        else:
            symbol = None
            scope = self._scope_of_new(key, key_size)
            if scope is None:
                return LEFT
        if scope.large is not None or t.ts >= scope.c_deadline:
            return LEFT
        if t.broker_size >= 0 or t.symbol_size >= 0:
            bar = <const uint8_t*>memchr(key, c"|", key_size)
            if bar == NULL:
                return LEFT
            if t.broker_size >= 0 and not (t.broker_size == bar - key and memcmp(t.broker, key, t.broker_size) == 0):
                return LEFT
            if t.symbol_size >= 0 and not (
                t.symbol_size == key + key_size - bar - 1 and memcmp(t.symbol, bar + 1, t.symbol_size) == 0
            ):
                return LEFT
        tick.ts, tick.seq, tick.offset = t.ts, t.seq, offset
        tick.price, tick.price_scale = t.price, <int8_t>t.price_scale
        tick.sized = t.sized
        tick.qty, tick.qty_scale = t.qty if t.sized else 0, <int8_t>(t.qty_scale if t.sized else 0)
        window = None
        if symbol is not None:
            other = symbol.held
            if type(other) is Window and 0 < (<Window>other).w.end - t.ts <= self.size:
                window = <Window>other
                if not window_fold(&window.w, &tick):
                    return LEFT
            elif other is not None and type(other) is not Window:
                return LEFT
        if window is None:
            end = t.ts - t.ts % self.size + self.size
            if symbol is not None and symbol.more:
                other = symbol.switch_to(end)  # this changes no result
                if other is not None:
                    if type(other) is not Window or not window_fold(&(<Window>other).w, &tick):
                        return LEFT
                    window = <Window>other
        if window is None:
            if end + self.grace <= scope.c_stream_time:
                return LEFT
            window = Window.__new__(Window)
            if not window_begin(&window.w, end, self.arrival, &tick):
                return LEFT
            if symbol is None:
                symbol = self._new_symbol(key, key_size, scope)
            # As the rules do it: first the clock, and then the window, which may make the scope due sooner.
            self._move(scope, t.ts)
            if symbol.held is None:
                symbol.held = window
            else:
                symbol.open(window)
            self._add(scope, symbol, end)
        else:
            self._move(scope, t.ts)
        if not symbol.is_dirty:
            symbol.is_dirty = 1
            self.changed.append(symbol)
        self.binned += 1
        return BINNED

    cdef bint _fits_bar(self, const tick_t* t) noexcept:
        """Whether price and quantity surely fit into the columns of a bar with a schema."""
        if t.price_scale > self.bar_scale or MAX_DIGITS + self.bar_scale - t.price_scale > 34:
            return False
        return not t.sized or (t.qty_scale <= self.bar_scale and MAX_DIGITS + self.bar_scale - t.qty_scale <= 26)

    cdef inline int _move(self, Scope scope, int64_t ts) except -1:
        """Move stream time, see `IdleScheduler.advance_stream_time`.

        A scope is scheduled when this path is left: until then the wheel does not turn, and the lead only shrinks.
        """
        cdef int64_t lead
        if ts > scope.c_stream_time:
            lead = self.arrival - ts
            if lead < scope.c_advanced_at - scope.c_stream_time and scope.c_deadline != NEVER and self.idle:
                scope.c_stream_time = ts
                scope.c_advanced_at = self.arrival
                if lead + scope.c_deadline < scope.c_entry and not scope.waits:
                    scope.waits = True
                    self.waiting.append(scope)
            else:
                scope.c_stream_time = ts
                scope.c_advanced_at = self.arrival
        return 0

    cdef int _add(self, Scope scope, Symbol symbol, int64_t end) except -1:
        """See `OpenWindows.add`."""
        cdef Bucket bucket = scope.recent
        cdef object found
        if bucket is None or bucket.end != end:
            found = scope.buckets.get(end)
            if type(found) is not Bucket:
                self._flush()
                self.windows.add(scope, symbol, end, self.arrival)
                return 0
            bucket = scope.recent = <Bucket>found
        if self.arrival > bucket.last_opened_at:
            bucket.last_opened_at = self.arrival
        bucket.symbols.append(symbol)
        self.opened += 1
        return 0

    cdef Scope _scope_of_new(self, const uint8_t* key, int64_t size):
        """The scope of a symbol that is not known yet. None: it has none yet, or its key is unusual."""
        cdef const uint8_t* bar = <const uint8_t*>memchr(key, c"|", size)
        cdef int64_t at, broker_size
        cdef object found
        if self.per_symbol or bar == NULL or bar == key or bar == key + size - 1:
            return None
        broker_size = bar - key
        if memchr(bar + 1, c"|", size - broker_size - 1) != NULL:
            return None
        for at in range(size):
            if key[at] < 0x20 or key[at] > 0x7e:
                return None
        if not self.per_broker:
            return self.scopes.get("")
        if (
            self.known_broker is not None
            and PyBytes_GET_SIZE(self.known_broker) == broker_size
            and memcmp(PyBytes_AS_STRING(self.known_broker), key, broker_size) == 0
        ):
            return self.known
        broker = PyBytes_FromStringAndSize(<const char*>key, broker_size)
        found = self.scopes.get(broker.decode("ascii"))
        if found is not None:
            self.known, self.known_broker = found, broker
        return found

    cdef Symbol _new_symbol(self, const uint8_t* key, int64_t size, Scope scope):
        """See `OpenWindows.symbol_of`."""
        cdef Symbol symbol = Symbol.__new__(Symbol)
        cdef bytes held = PyBytes_FromStringAndSize(<const char*>key, size)
        _name_symbol(symbol, held, scope)
        self.symbols[held] = symbol
        self.new_keys.append(held)
        return symbol

    def feed_batch(self, data, int64_t count, int64_t base_offset, int64_t first_offset, arrived, process):
        """Process the records of a batch from their bytes, from `first_offset` on; all arrived at `arrived` (epoch ms).

        Returns how many records were read, and whether that was all. If not, the rest is not as it should be.
        """
        cdef Py_buffer buffer
        cdef const uint8_t* p
        cdef const uint8_t* end
        cdef const uint8_t* after
        cdef record_t r
        cdef int64_t number = 0, offset
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            self._begin(arrived)
            p = <const uint8_t*>buffer.buf
            end = p + buffer.len
            try:
                while number < count:
                    after = read_record(p, end, &r)
                    if after == NULL:
                        return number, False
                    p = after
                    number += 1
                    offset = base_offset + r.offset_delta
                    if offset < first_offset:
                        continue
                    if r.key != NULL and r.value != NULL and self._ready():
                        if self._tick(r.key, r.key_size, r.value, r.value_size, offset) == BINNED:
                            self.next_offset = offset + 1
                            continue
                    self._leave(_raw(&r, offset, arrived), process)
                return number, p == end
            finally:
                self._end()
        finally:
            PyBuffer_Release(&buffer)


def crc32c(data):
    """The CRC-32C (Castagnoli) of a buffer."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        return crc32c_of(<const uint8_t*>buffer.buf, buffer.len)
    finally:
        PyBuffer_Release(&buffer)


# ---- bars

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


def take_bars(list symbols, list windows, int64_t begin, int64_t end, tuple pieces, object start, object headers, object plain_value):
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
