# What a symbol has of longer windows, see `tables.scopes.Longer`, and the records of it.

cdef enum:
    MOST_FRAMES = 15
    MOST_HEAD = 64  # bytes in front of a state in its record
    LONGER_SIZE = 200  # bytes of a `Longer`

assert MOST_FRAMES == _MOST_FRAMES


@cython.final
cdef class Longer:
    """See `tables.scopes.Longer`. Its texts and states are made when somebody asks.

    An open window is a `Window` of its own: what it takes in is merged without being packed and unpacked. Only where the
    numbers do not fit is it the bytes of its state.
    """

    cdef readonly bytes key
    cdef readonly Scope scope
    cdef public object close
    cdef public int64_t due
    cdef public int64_t written
    cdef public bint changed
    cdef Py_ssize_t frames
    cdef PyObject* held[MOST_FRAMES]  # the open window of each frame; NULL: there is none

    def __init__(self, bytes key, name, Scope scope, Py_ssize_t frames):
        if self.key is not None or not 0 <= frames <= MOST_FRAMES:
            raise ValueError("it is made once, and has at most 15 frames")
        self.key = key
        self.scope = scope
        self.frames = frames

    def __dealloc__(self):
        cdef Py_ssize_t frame
        for frame in range(self.frames):
            Py_XDECREF(self.held[frame])

    cdef int check(self, Py_ssize_t frame) except -1:
        if not 0 <= frame < self.frames:
            raise IndexError("a symbol does not have this frame")
        return 0

    cdef void put(self, Py_ssize_t frame, object window):
        """Replace the open window of a frame; None: there is none any more."""
        cdef PyObject* former = self.held[frame]
        if window is None:
            self.held[frame] = NULL
        else:
            Py_INCREF(window)
            self.held[frame] = <PyObject*>window
        Py_XDECREF(former)

    cdef bytes state(self, Py_ssize_t frame):
        cdef PyObject* held = self.held[frame]
        if held == NULL:
            return None
        if type(<object>held) is Window:
            return _pack(&(<Window>held).w, (<Window>held).w.end)
        return <bytes>held

    @property
    def states(self):
        """The states of the open windows by frame; None: there is none."""
        cdef HeldStates states = HeldStates.__new__(HeldStates)
        states.longer = self
        return states

    @property
    def record_key(self):
        """Its key in the changelog."""
        return _joined(self.key, b"|+")

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


@cython.final
cdef class HeldStates:
    """The open longer windows of a symbol as the bytes of their states."""

    cdef Longer longer

    def __init__(self):
        raise TypeError("a Longer makes it")

    def __len__(self):
        return self.longer.frames

    def __getitem__(self, Py_ssize_t frame):
        self.longer.check(frame)
        return self.longer.state(frame)

    def __setitem__(self, Py_ssize_t frame, bytes state):
        cdef Window window = Window.__new__(Window)
        self.longer.check(frame)
        if _unpack(state, &window.w) and _pack(&window.w, window.w.end) == state:
            self.longer.put(frame, window)
        else:
            self.longer.put(frame, state)


def longer_records(list items, Py_ssize_t at, int64_t number, list keys):
    """The records of longer windows from a place on, and the place where this stopped: before the first of others.

    It notes `number` of the checkpoint in each, and appends the key of each record to `keys`.
    """
    cdef Py_ssize_t stop = min(len(items), at + STATES_AT_ONCE), frame, count
    cdef list own = [], heads = None
    cdef States values = None
    cdef Scope scope = None
    cdef Longer longer
    cdef bytes head
    cdef PyObject* held
    cdef char* text
    cdef char* end
    while at < stop:
        if type(items[at]) is not Longer:
            break
        longer = items[at]
        if longer.close is not None:
            break
        if longer.scope is not scope:
            scope = longer.scope
            heads = [None if bucket is None else bucket.head for bucket in scope.longer]
        if <Py_ssize_t>len(heads) != longer.frames:
            break  # no window of its scope is open
        count = 0
        if values is None:
            values = States(stop - at)
        text = values.place(longer.frames * (MAX_PACKED + MOST_HEAD) + 8)
        end = text + 2
        for frame in range(longer.frames):
            held = longer.held[frame]
            if held == NULL:
                continue
            head = heads[frame]
            if head is None or PyBytes_GET_SIZE(head) > MOST_HEAD or type(<object>held) is not Window:
                count = 0
                break  # it is left to Python
            end = pack_window(_put(end, head), &(<Window>held).w, (<Window>held).w.end)
            count += 1
        if not count:
            break
        text[0] = <char>0x94  # as `tables.state.encode_longer`
        text[1] = <char>(0x90 + count)
        end[0] = end[2] = <char>0xC0
        end[1] = <char>0x90
        values.placed(end + 3 - text)
        own.append(longer.record_key)
        longer.written = number
        at += 1
    keys += own
    return _records(own, values), at


def place_of(keys, bytes key):
    """The place of a key among those of symbols, a list or tuple in the order of bars; -1: it is not there."""
    cdef bint listed = type(keys) is list
    cdef Py_ssize_t low = 0, high = len(keys), middle
    cdef int order
    cdef bytes other
    if not listed and type(keys) is not tuple:
        raise TypeError("keys must be a list or a tuple")
    while low < high:
        middle = (low + high) // 2
        other = (<list>keys)[middle] if listed else (<tuple>keys)[middle]
        order = 0 if other is key else _compare_texts(other, key)
        if order == 0:
            return middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return -1
