# All symbols of a partition: a hash table of the bytes of their keys, and their order.

cdef inline void prefetch_ahead(list symbols, Py_ssize_t at, Py_ssize_t count) noexcept:
    """While somebody goes through a list of symbols."""
    if at + NEAR < count:
        prefetch_object(<const void*>PyList_GET_ITEM(symbols, at + NEAR), SYMBOL_SIZE)


cdef inline void fetch_window(list windows, Py_ssize_t at) noexcept:
    """The same while somebody goes through a list of windows."""
    if at + NEAR < PyList_GET_SIZE(windows):
        prefetch_object(<const void*>PyList_GET_ITEM(windows, at + NEAR), sizeof(window_t))


ctypedef int (*comparison)(const void*, const void*) noexcept nogil


cdef inline uint8_t _order_byte(uint8_t byte) noexcept nogil:
    return 0 if byte == c"|" else byte


cdef int _compare_keys(Symbol one, Symbol other) noexcept:
    return _compare_texts(one.key, other.key)


cdef int _compare_texts(bytes one, bytes other) noexcept:
    """As the texts of `order_of` compare: UTF-8 sorts like its characters."""
    cdef const uint8_t* a = <const uint8_t*>PyBytes_AS_STRING(one)
    cdef const uint8_t* b = <const uint8_t*>PyBytes_AS_STRING(other)
    cdef Py_ssize_t at, size = min(PyBytes_GET_SIZE(one), PyBytes_GET_SIZE(other))
    for at in range(size):
        if a[at] != b[at]:
            return <int>_order_byte(a[at]) - <int>_order_byte(b[at])
    return (PyBytes_GET_SIZE(one) > PyBytes_GET_SIZE(other)) - (PyBytes_GET_SIZE(one) < PyBytes_GET_SIZE(other))


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

    cdef inline const void* place(self, uint64_t hashed) noexcept:
        """Where the search for a key begins."""
        return &self.table[hashed & self.mask]

    cdef inline PyObject* at_place(self, uint64_t hashed) noexcept:
        """Probably the symbol with a key; NULL: it has another place, or there is none."""
        cdef const entry_t* entry = &self.table[hashed & self.mask]
        return entry.symbol if entry.hash == hashed else NULL

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
            prefetch_ahead(former, at, count)
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


cdef inline const uint8_t* _bytes_of(Symbol symbol) noexcept:
    """The bytes of its key."""
    if symbol.key_size <= HEAD:
        return symbol.head
    return <const uint8_t*>PyBytes_AS_STRING(symbol.key)
