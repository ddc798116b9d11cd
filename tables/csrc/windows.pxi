# Open windows, see `tables.window`.

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
