# The fast path, see `tables.hot`.

cdef enum Outcome:
    LEFT  # to Python; nothing has been changed
    BINNED
    CORRECTED


@cython.final
cdef class FastPath(Intake):
    """Folds ticks that arrived at the same time, as `tables.hot.FastPath` does, and with quantities as well."""

    cdef object correct  # see `AfterClose.correct`; None: late ticks are dropped
    cdef Symbols symbols
    cdef dict scopes
    cdef bytes price
    cdef const char* price_name
    cdef size_t price_size
    cdef int64_t size, grace, min_ts
    cdef bint positive, per_symbol, per_broker
    cdef int bar_scale  # decimals that a price may have; -1: as many as it fits
    cdef Scope known  # the scope that was looked up last, by the bytes of its broker
    cdef bytes known_broker

    def __init__(self, config, windows, scheduler, progress, silence):
        super().__init__(config, windows, scheduler, progress, silence)
        self.symbols = windows.symbols
        self.scopes = windows.scopes
        self.price = config.price.encode()
        self.price_name = PyBytes_AS_STRING(self.price)
        self.price_size = len(self.price)
        self.size, self.grace = config.window_size, config.grace
        self.min_ts = max(0, config.min_ts)  # C divides towards zero: earlier times are left to Python
        self.positive = config.positive
        self.per_symbol, self.per_broker = config.scope == "symbol", config.scope == "broker"
        self.bar_scale = -1 if config.bar_scale is None else config.bar_scale
        after = windows.after
        self.correct = None if after is None or after.corrections is None else after.correct

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
                        _hash(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)),
                        <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), offset,
                    ) != LEFT:
                        self.next_offset = <int64_t>offset + 1
                        continue
                self._leave(record, process)
        finally:
            self._end()

    cdef Outcome _tick(
        self, const uint8_t* key, int64_t key_size, uint64_t hashed, const uint8_t* value, int64_t value_size, int64_t offset
    ) except? LEFT:
        """Fold one tick, if it is usual. `hashed`: its key."""
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
        found = self.symbols.find(key, key_size, hashed)
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
            if symbol is not None and not symbol.is_alone():
                other = symbol.switch_to(end)  # this changes no result
                if other is not None:
                    if type(other) is not Window or not window_fold(&(<Window>other).w, &tick):
                        return LEFT
                    window = <Window>other
        if window is None:
            if end + self.grace <= scope.c_stream_time:
                return LEFT if self.correct is None else self._late(scope, key, key_size, end, &tick)
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

    cdef Outcome _late(self, Scope scope, const uint8_t* key, int64_t key_size, int64_t end, const fold_t* tick) except? LEFT:
        """Let a late tick revise its window, see `TickRules`."""
        cdef Window late = Window.__new__(Window)
        cdef bytes held
        if not window_begin(&late.w, end, self.arrival, tick):
            return LEFT
        held = PyBytes_FromStringAndSize(<const char*>key, key_size)
        opened = self.correct(scope, held, _name_of(held), late, self.arrival)
        if opened is None:
            return LEFT
        self.corrected += 1
        if opened:  # a longer window, which may be due already
            self.next_offset = tick.offset + 1
            self._flush()
            scope.settle(self.grace)
            self.schedule(scope)
            self.silence.pass_to(self.progress.arrival)
            self._look()
        return CORRECTED

    cdef bint _fits_bar(self, const tick_t* t) noexcept:
        """Whether price and quantity surely fit into the columns of a bar with a schema."""
        if t.price_scale > self.bar_scale or MAX_DIGITS + self.bar_scale - t.price_scale > 34:
            return False
        return not t.sized or (t.qty_scale <= self.bar_scale and MAX_DIGITS + self.bar_scale - t.qty_scale <= 26)

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
