# What is the same for all ticks that are fed at once: the clocks, and what is counted and written back at the end.

cdef class Intake:
    """Ticks that arrived at the same time, while they are processed."""

    cdef object windows, progress, schedule, silence
    cdef list new_keys
    cdef list changed
    cdef int64_t ahead
    cdef bint idle
    cdef int64_t arrived, arrival, latest, binned, corrected, opened, next_offset
    cdef bint usual  # whether the clocks allow the fast path
    cdef list waiting  # scopes to be scheduled

    def __init__(self, config, windows, scheduler, progress, silence):
        self.windows, self.progress, self.silence, self.schedule = windows, progress, silence, scheduler.schedule
        self.ahead = min(config.grace, config.max_future)
        self.idle = config.idle_close
        self.waiting = []

    @cython.final
    cdef int _begin(self, object arrived) except -1:
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

    @cython.final
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

    @cython.final
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

    @cython.final
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

    @cython.final
    cdef int _leave(self, object record, object process) except -1:
        """Let the rules in Python have a record."""
        self._flush()
        process(record, None, None)
        self.next_offset = self.progress.next_offset
        if self.arrived >= 0:
            self._look()
        return 0

    @cython.final
    cdef int _end(self) except -1:
        self._flush()
        counters = self.progress.counters
        counters.binned += self.binned
        counters.corrected += self.corrected
        counters.read += self.binned + self.corrected
        self.binned = self.corrected = 0
        self.changed = self.new_keys = None  # nothing is kept that others have taken
        return 0

    @cython.final
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
