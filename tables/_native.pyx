# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native core: windows, symbols and scopes as C structs, and the fast path over them. `tables.native` says when it is used.

It knows the usual case only. Whatever is unusual goes to the rules in Python before anything has been changed: they see the
same windows, symbols and scopes through the attributes of `tables.window` and `tables.scopes`. Tests compare both cores.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memchr, memcmp, memcpy, memset

from decimal import Decimal
from time import time

from tables.calendar import MOST_FRAMES as _MOST_FRAMES
from tables.packed import merged as plain_merged
from tables.packed import packed as plain_packed
from tables.scopes import NEVER as _NEVER
from tables.scopes import UNKNOWN as _UNKNOWN
from tables.scopes import Bucket as PlainBucket
from tables.scopes import head_of
from tables.progress import CLOCK_STEP as _CLOCK_STEP
from tables.state import encode_state
from tables.ticks import MAX_KEY as _MAX_KEY
from tables.window import Window as PlainWindow
from tables.window import new_window as plain_window
from tables.window import pack_window as plain_pack
from tables.window import unpack_window as plain_unpack

cdef extern from "csrc/numbers.h":
    ctypedef struct wide:
        pass
    wide wide_of(int64_t number)
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

cdef extern from "csrc/packed.h":
    char* pack_window(char* at, const window_t* w, int64_t end)
    int unpack_window(const uint8_t* at, size_t size, window_t* w)
    int window_merge(window_t* w, const window_t* o)
    enum: MAX_PACKED

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
    uint8_t* put_varint(uint8_t* at, int64_t number)
    int varint_size(int64_t number)
    void crc_prepare()
    uint32_t crc32c_of(const uint8_t* p, size_t size)

cdef extern from "csrc/prefetch.h":
    void prefetch(const void* at) noexcept nogil
    void prefetch_object(const void* at, size_t size) noexcept nogil

cdef extern from "csrc/pages.h":
    int _large_pages "large_pages"()

cdef int64_t NEVER = _NEVER
cdef int64_t UNKNOWN = _UNKNOWN
cdef int64_t CLOCK_STEP = _CLOCK_STEP
cdef int64_t MAX_KEY = _MAX_KEY
cdef int64_t LARGE = 1 << 59  # larger times and durations are left to Python, which cannot overflow
cdef uint64_t SEED = <uint64_t>(hash(b"barwheel") & 0xFFFFFFFFFFFFFFFF)  # differs in each process, as all hashes do

crc_prepare()

cdef extern from *:
    const char* SOURCES  # a macro of setup.py

sources = SOURCES.decode("ascii")  # SHA-256 of this file and of those in csrc/, as they were when it was built


def large_pages():
    """From now on, have Python take its memory in large pages, see `pages.h`. Returns whether this system has them."""
    return bool(_large_pages())


cdef bint _is_small(object number):
    return type(number) is int and -(1 << 59) < number < 1 << 59


include "csrc/numbers.pxi"
include "csrc/windows.pxi"
include "csrc/scopes.pxi"
include "csrc/symbols.pxi"
include "csrc/kafka.pxi"
include "csrc/intake.pxi"
include "csrc/fast_path.pxi"
include "csrc/feeding.pxi"
include "csrc/batches.pxi"
include "csrc/sequences.pxi"
include "csrc/states.pxi"
include "csrc/longer.pxi"
include "csrc/packed.pxi"
include "csrc/bars.pxi"
