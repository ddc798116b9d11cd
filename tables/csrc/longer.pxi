# What a symbol has of longer windows, see `tables.scopes.Longer`, and the records of it.

@cython.final
cdef class Longer:
    """See `tables.scopes.Longer`. Its texts are made when somebody asks."""

    cdef readonly bytes key
    cdef readonly Scope scope
    cdef public list states
    cdef public object close
    cdef public int64_t due
    cdef public int64_t written
    cdef public bint changed

    def __init__(self, bytes key, name, Scope scope, Py_ssize_t frames):
        self.key = key
        self.scope = scope
        self.states = [None] * frames

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


def longer_records(list items, Py_ssize_t at, int64_t number, list keys):
    """Records `(key, value)` of longer windows from a place on, and the place where this stopped: before the first of others.

    It notes `number` of the checkpoint in each, and appends the key of each record to `keys`.
    """
    cdef Py_ssize_t stop = min(len(items), at + STATES_AT_ONCE), frame, count, size
    cdef list records = [], heads = None
    cdef Scope scope = None
    cdef Longer longer
    cdef bytes state, key, value
    cdef char* text
    while at < stop:
        if type(items[at]) is not Longer:
            break
        longer = items[at]
        if longer.close is not None:
            break
        if longer.scope is not scope:
            scope = longer.scope
            heads = [None if bucket is None else bucket.head for bucket in scope.longer]
        if len(heads) != len(longer.states):
            break  # no window of its scope is open
        count = 0
        size = 5
        for frame in range(len(longer.states)):
            if longer.states[frame] is not None:
                count += 1
                size += len(<bytes>heads[frame]) + PyBytes_GET_SIZE(<bytes>longer.states[frame])
        if not count:
            break
        value = PyBytes_FromStringAndSize(NULL, size)
        text = PyBytes_AS_STRING(value)
        text[0] = <char>0x94  # as `tables.state.encode_longer`
        text[1] = <char>(0x90 + count)
        text += 2
        for frame in range(len(longer.states)):
            if longer.states[frame] is not None:
                text = _put(_put(text, <bytes>heads[frame]), <bytes>longer.states[frame])
        text[0] = text[2] = <char>0xC0
        text[1] = <char>0x90
        key = longer.record_key
        records.append((key, value))
        keys.append(key)
        longer.written = number
        at += 1
    return records, at


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

