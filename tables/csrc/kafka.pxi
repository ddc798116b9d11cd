# What Kafka computes: the partition of a key, and the checksum of a batch.

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


def crc32c(data):
    """The CRC-32C (Castagnoli) of a buffer."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        return crc32c_of(<const uint8_t*>buffer.buf, buffer.len)
    finally:
        PyBuffer_Release(&buffer)
