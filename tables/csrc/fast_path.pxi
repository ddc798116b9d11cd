# The fast path, see `tables.hot`.

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
    CORRECTED


@cython.final
cdef class FastPath:
    """Folds ticks that arrived at the same time, as `tables.hot.FastPath` does, and with quantities as well."""

    cdef object windows, progress, schedule, silence
    cdef object correct  # see `AfterClose.correct`; None: late ticks are dropped
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
    cdef int64_t arrived, arrival, latest, binned, corrected, opened, next_offset
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
                        <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), offset,
                    ) != LEFT:
                        self.next_offset = <int64_t>offset + 1
                        continue
                self._leave(record, process)
        finally:
            self._end()

    cdef int _begin(self, object arrived) except -1:
        cdef object latest
        self.changed, self.new_keys = self.windows.changed, self.windows.new_keys
        self.binned = self.corrected = self.opened = 0
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
        counters.corrected += self.corrected
        counters.read += self.binned + self.corrected
        self.binned = self.corrected = 0
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
                        if self._tick(r.key, r.key_size, r.value, r.value_size, offset) != LEFT:
                            self.next_offset = offset + 1
                            continue
                    self._leave(_raw(&r, offset, arrived), process)
                return number, p == end
            finally:
                self._end()
        finally:
            PyBuffer_Release(&buffer)
