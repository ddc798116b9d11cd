/* A window as MessagePack, byte for byte as `tables.window.pack_window` gives it; and a window that takes in another one. */
#ifndef BARWHEEL_PACKED_H
#define BARWHEEL_PACKED_H
#include "window.h"

#define MAX_PACKED 768 /* bytes of a window */
#define WINDOW_FIELDS 23
#define MAX_SUM_DIGITS 36 /* of a sum that is read: more are left to Python */

/* ---- writing */

/* Writes 8 bytes, of which the first ones count: that takes less than a loop. */
static inline char *put_big_endian(char *at, uint64_t number, int bytes) {
    uint64_t word = number << (64 - 8 * bytes);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(at, &word, sizeof word);
    return at + bytes;
}

static inline char *pack_int(char *at, int64_t number) {
    uint64_t bits = (uint64_t)number;
    if (number >= 0) {
        if (bits < 0x80) {
            *at++ = (char)bits;
            return at;
        }
        int size = bits <= 0xFF ? 0 : bits <= 0xFFFF ? 1 : bits <= 0xFFFFFFFF ? 2 : 3; /* 2 to this power bytes */
        *at++ = (char)(0xCC + size);
        return put_big_endian(at, bits, 1 << size);
    }
    if (number >= -32) {
        *at++ = (char)bits;
        return at;
    }
    int size = number >= INT8_MIN ? 0 : number >= INT16_MIN ? 1 : number >= INT32_MIN ? 2 : 3;
    *at++ = (char)(0xD0 + size);
    return put_big_endian(at, bits, 1 << size);
}

/* Puts the head of a text in front of what was written behind `begin` + 2, where its digits are. */
static inline char *text_head(char *begin, char *end) {
    size_t size = (size_t)(end - begin) - 2;
    if (size < 32) {
        *begin = (char)(0xA0 + size);
        memmove(begin + 1, begin + 2, size);
        return end - 1;
    }
    begin[0] = (char)0xD9;
    begin[1] = (char)size;
    return end;
}

static inline char *pack_price(char *at, int64_t number, int scale) { return text_head(at, put_number(at + 2, number, scale)); }

static inline char *pack_sum(char *at, const window_t *w, wide number, int scale) {
    if (!w->sized) {
        *at++ = (char)0xC0;
        return at;
    }
    return text_head(at, put_wide(at + 2, number, scale));
}

/* In the order of the fields of `tables.window.Window`. `end`: of the window; it may differ from its own. */
static inline char *pack_window(char *at, const window_t *w, int64_t end) {
    *at++ = (char)0xDC;
    *at++ = 0;
    *at++ = WINDOW_FIELDS;
    at = pack_int(at, end);
    at = pack_int(at, w->ticks);
    at = pack_price(at, w->high, w->high_scale);
    at = pack_price(at, w->low, w->low_scale);
    at = pack_price(at, w->close, w->close_scale);
    at = pack_int(at, w->close_ts);
    at = pack_int(at, w->close_seq);
    at = pack_int(at, w->close_offset);
    at = pack_int(at, w->last_offset);
    at = pack_price(at, w->open, w->open_scale);
    at = pack_int(at, w->open_ts);
    at = pack_int(at, w->first_offset);
    at = pack_sum(at, w, w->volume, w->volume_scale);
    at = pack_sum(at, w, w->notional, w->notional_scale);
    at = pack_int(at, w->open_seq);
    at = pack_int(at, w->open_offset);
    at = pack_int(at, w->high_ts);
    at = pack_int(at, w->high_seq);
    at = pack_int(at, w->high_offset);
    at = pack_int(at, w->low_ts);
    at = pack_int(at, w->low_seq);
    at = pack_int(at, w->low_offset);
    return pack_int(at, w->opened_at);
}

/* ---- reading: each returns where it ends, or NULL where it finds something else, or what does not fit */

static inline const uint8_t *unpack_int(const uint8_t *at, const uint8_t *end, int64_t *number) {
    if (at == end)
        return NULL;
    uint8_t kind = *at++;
    if (kind < 0x80 || kind >= 0xE0) {
        *number = (int8_t)kind;
        return at;
    }
    int is_signed = kind >= 0xD0 && kind <= 0xD3;
    if (!is_signed && !(kind >= 0xCC && kind <= 0xCF))
        return NULL;
    int bytes = 1 << (kind & 3);
    if (end - at < bytes)
        return NULL;
    uint64_t bits = is_signed && *at & 0x80 ? ~(uint64_t)0 : 0;
    for (int count = 0; count < bytes; count++)
        bits = bits << 8 | *at++;
    if (!is_signed && bits > INT64_MAX)
        return NULL;
    *number = (int64_t)bits;
    return at;
}

/* A number as `put_digits` writes it, without an exponent. A negative zero does not fit. */
static inline const uint8_t *unpack_number(const uint8_t *at, const uint8_t *end, int most, int most_scale, wide_int *number,
                                           int8_t *scale) {
    if (at == end)
        return NULL;
    int size = *at++;
    if (size == 0xD9) {
        if (at == end)
            return NULL;
        size = *at++;
    } else if (size >= 0xA0 && size < 0xC0) {
        size -= 0xA0;
    } else {
        return NULL;
    }
    if (end - at < size)
        return NULL;
    const uint8_t *stop = at + size;
    int negative = size > 0 && *at == '-', digits = 0, decimals = -1, seen = 0;
    wide_uint value = 0;
    uint64_t small = 0;
    for (at += negative; at < stop; at++) {
        if (*at == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        unsigned digit = (unsigned)*at - '0';
        if (digit > 9)
            return NULL;
        seen = 1;
        decimals += decimals >= 0;
        digits += digits > 0 || digit > 0;
        if (digits > most)
            return NULL;
        if (digits <= MAX_DIGITS)
            value = small = small * 10 + digit;
        else
            value = value * 10 + digit;
    }
    if (decimals < 0)
        decimals = 0;
    if (!seen || decimals > most_scale || (negative && !value))
        return NULL;
    *number = negative ? -(wide_int)value : (wide_int)value;
    *scale = (int8_t)decimals;
    return stop;
}

static inline const uint8_t *unpack_price(const uint8_t *at, const uint8_t *end, int64_t *price, int8_t *scale) {
    wide_int number = 0;
    at = unpack_number(at, end, MAX_DIGITS, MAX_DIGITS, &number, scale);
    *price = (int64_t)number;
    return at;
}

static inline const uint8_t *unpack_sum(const uint8_t *at, const uint8_t *end, wide *sum, int8_t *scale) {
    wide_int number = 0;
    at = unpack_number(at, end, MAX_SUM_DIGITS, 2 * MAX_DIGITS, &number, scale);
    *sum = wide_of(number);
    return at;
}

/* Reads a whole window. Returns 0 where this core cannot hold it. */
static inline int unpack_window(const uint8_t *at, size_t size, window_t *w) {
    const uint8_t *end = at + size;
    if (size < 3 || at[0] != 0xDC || at[1] != 0 || at[2] != WINDOW_FIELDS)
        return 0;
    memset(w, 0, sizeof *w);
    at += 3;
#define INT(FIELD) \
    if (!(at = unpack_int(at, end, &w->FIELD))) \
        return 0;
#define PRICE(FIELD) \
    if (!(at = unpack_price(at, end, &w->FIELD, &w->FIELD##_scale))) \
        return 0;
    INT(end) INT(ticks)
    PRICE(high) PRICE(low) PRICE(close)
    INT(close_ts) INT(close_seq) INT(close_offset) INT(last_offset)
    PRICE(open)
    INT(open_ts) INT(first_offset)
    if (end - at >= 2 && at[0] == 0xC0 && at[1] == 0xC0) {
        at += 2;
    } else {
        if (!(at = unpack_sum(at, end, &w->volume, &w->volume_scale)) ||
            !(at = unpack_sum(at, end, &w->notional, &w->notional_scale)))
            return 0;
        w->sized = 1;
    }
    INT(open_seq) INT(open_offset)
    INT(high_ts) INT(high_seq) INT(high_offset)
    INT(low_ts) INT(low_seq) INT(low_offset)
    INT(opened_at)
#undef INT
#undef PRICE
    return at == end;
}

/* ---- merging */

#define TAKE(NAME) \
    (w->NAME = o->NAME, w->NAME##_scale = o->NAME##_scale, w->NAME##_ts = o->NAME##_ts, w->NAME##_seq = o->NAME##_seq, \
     w->NAME##_offset = o->NAME##_offset)
#define IS_SOONER(A, B, NAME) \
    is_before(A->NAME##_ts, A->NAME##_seq, A->NAME##_offset, B->NAME##_ts, B->NAME##_seq, B->NAME##_offset)

/* As `tables.window.Window.merge`. Returns 0, with nothing changed, where the sums would not fit. */
static inline int window_merge(window_t *w, const window_t *o) {
    int64_t ticks;
    if (__builtin_add_overflow(w->ticks, o->ticks, &ticks))
        return 0;
    if (o->sized && w->sized) {
        wide volume = w->volume, notional = w->notional;
        int8_t volume_scale = w->volume_scale, notional_scale = w->notional_scale;
        if (!wide_add(&volume, &volume_scale, wide_get(o->volume), o->volume_scale) ||
            !wide_add(&notional, &notional_scale, wide_get(o->notional), o->notional_scale))
            return 0;
        w->volume = volume, w->volume_scale = volume_scale;
        w->notional = notional, w->notional_scale = notional_scale;
    } else if (o->sized) {
        w->volume = o->volume, w->volume_scale = o->volume_scale;
        w->notional = o->notional, w->notional_scale = o->notional_scale;
        w->sized = 1;
    }
    int above = number_compare(o->high, o->high_scale, w->high, w->high_scale);
    if (above > 0 || (above == 0 && IS_SOONER(o, w, high)))
        TAKE(high);
    int below = number_compare(o->low, o->low_scale, w->low, w->low_scale);
    if (below < 0 || (below == 0 && IS_SOONER(o, w, low)))
        TAKE(low);
    if (IS_SOONER(w, o, close))
        TAKE(close);
    if (IS_SOONER(o, w, open))
        TAKE(open);
    w->ticks = ticks;
    if (o->first_offset < w->first_offset)
        w->first_offset = o->first_offset;
    if (o->last_offset > w->last_offset)
        w->last_offset = o->last_offset;
    if (o->opened_at < w->opened_at)
        w->opened_at = o->opened_at;
    return 1;
}

#undef TAKE
#undef IS_SOONER

#endif
