# Many values in one piece of memory: states of windows, and the records of a checkpoint.

cdef enum:
    USUAL_STATE = 224  # bytes of a state, about


@cython.final
cdef class States:
    """States of windows, a sequence of `bytes`. An object for each would take a quarter more memory, and longer to make and free."""

    cdef char* text
    cdef uint32_t* ends  # where each of them ends in `text`
    cdef readonly Py_ssize_t count
    cdef size_t used, room

    def __cinit__(self, Py_ssize_t expected):
        """At most so many states will be added."""
        self.ends = <uint32_t*>PyMem_Malloc((expected + 1) * sizeof(uint32_t))
        self.room = <size_t>expected * USUAL_STATE + MAX_PACKED
        self.text = <char*>PyMem_Malloc(self.room)
        if self.ends == NULL or self.text == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.ends)
        PyMem_Free(self.text)

    def __len__(self):
        return self.count

    def __getitem__(self, at):
        cdef const uint8_t* state
        cdef Py_ssize_t size, place
        if type(at) is slice:
            return [self[place] for place in range(*at.indices(self.count))]
        place = at
        if place < 0:
            place += self.count
        if not 0 <= place < self.count:
            raise IndexError("there are fewer states")
        state = self.state(place, &size)
        return PyBytes_FromStringAndSize(<const char*>state, size)

    cdef inline const uint8_t* state(self, Py_ssize_t at, Py_ssize_t* size) noexcept:
        cdef size_t begin = self.ends[at - 1] if at else 0
        size[0] = self.ends[at] - begin
        return <const uint8_t*>self.text + begin

    cdef char* place(self, size_t size) except NULL:
        """Where the next state begins, with room for so many bytes."""
        cdef char* larger
        if self.used + size > self.room:
            larger = <char*>PyMem_Realloc(self.text, self.room + self.room // 2 + size)
            if larger == NULL:
                raise MemoryError
            self.text, self.room = larger, self.room + self.room // 2 + size
        if self.used + size > <size_t>0xFFFFFFFF:
            raise OverflowError("the states of a step take more than 4 GB")
        return self.text + self.used

    cdef int add(self, const window_t* w, int64_t end) except -1:
        """Add the state of a window, whose end may differ from its own."""
        cdef char* at = self.place(MAX_PACKED)
        return self.placed(pack_window(at, w, end) - at)

    cdef int add_bytes(self, bytes state) except -1:
        """Add a state that somebody else has made."""
        memcpy(self.place(PyBytes_GET_SIZE(state)), PyBytes_AS_STRING(state), PyBytes_GET_SIZE(state))
        return self.placed(PyBytes_GET_SIZE(state))

    cdef int placed(self, size_t size) except -1:
        """So many bytes were written there."""
        self.used += size
        self.ends[self.count] = <uint32_t>self.used
        self.count += 1
        return 0

    cdef States trimmed(self):
        """Itself, without room for more."""
        cdef char* smaller = <char*>PyMem_Realloc(self.text, max(self.used, 1))
        if smaller != NULL:
            self.text, self.room = smaller, max(self.used, 1)
        return self


@cython.final
cdef class StateRecords:
    """Records of a checkpoint, once: as `(key, value, None, headers)`, or written into a batch at once."""

    cdef list keys
    cdef States values
    cdef Py_ssize_t at

    def __init__(self):
        raise TypeError("checkpoints make it")

    def __len__(self):
        return self.values.count - self.at

    def __iter__(self):
        return self

    def __next__(self):
        if self.at == self.values.count:
            raise StopIteration
        self.at += 1
        return self.keys[self.at - 1], self.values[self.at - 1], None, []

    def write_into(self, BatchBuilder batch not None):
        """Write the records that are left into a batch. Returns whether all of them fitted."""
        cdef int64_t now = int(time() * 1_000)
        cdef bytes key
        cdef const uint8_t* value
        cdef Py_ssize_t size = 0
        while self.at < self.values.count:
            key = self.keys[self.at]
            value = self.values.state(self.at, &size)
            if not batch.add(
                now, <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), NULL, 0, value, size, b"\0", NULL, 0
            ):
                return False
            self.at += 1
        return True


cdef StateRecords _records(list keys, States values):
    cdef StateRecords made = StateRecords.__new__(StateRecords)
    made.keys, made.values = keys, States(0) if values is None else values.trimmed()
    return made
