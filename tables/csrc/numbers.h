/* Exact decimal numbers as a mantissa and a scale, as `decimal.Decimal` would have them: 1.50 is 150 with scale 2.
 *
 * A price has at most 18 digits and at most 18 decimals. Sums have 128 bits. What does not fit is left to Python: every
 * function that may overflow returns 0 then, and has changed nothing.
 */
#ifndef BARWHEEL_NUMBERS_H
#define BARWHEEL_NUMBERS_H
#include <stdint.h>
#include <string.h>

typedef __int128 wide_int;
typedef unsigned __int128 wide_uint;

/* 128 bits in a Python object, which is aligned to 8 bytes only. */
typedef struct {
    uint64_t low;
    int64_t high;
} wide;

#define MAX_DIGITS 18
#define MAX_NUMBER_TEXT 64 /* bytes of any number here as text */

static const int64_t POWERS[MAX_DIGITS + 1] = {
    1LL,
    10LL,
    100LL,
    1000LL,
    10000LL,
    100000LL,
    1000000LL,
    10000000LL,
    100000000LL,
    1000000000LL,
    10000000000LL,
    100000000000LL,
    1000000000000LL,
    10000000000000LL,
    100000000000000LL,
    1000000000000000LL,
    10000000000000000LL,
    100000000000000000LL,
    1000000000000000000LL,
};

static inline wide_int wide_get(wide number) { return (wide_int)(((wide_uint)(uint64_t)number.high << 64) | number.low); }

static inline wide wide_of(wide_int number) {
    wide made;
    made.low = (uint64_t)(wide_uint)number;
    made.high = (int64_t)(uint64_t)((wide_uint)number >> 64);
    return made;
}

/* Compares two numbers by value: below, equal to or above 0. */
static inline int number_compare(int64_t a, int a_scale, int64_t b, int b_scale) {
    if (a_scale == b_scale)
        return (a > b) - (a < b);
    wide_int x = a, y = b;
    if (a_scale < b_scale)
        x *= POWERS[b_scale - a_scale];
    else
        y *= POWERS[a_scale - b_scale];
    return (x > y) - (x < y);
}

/* Multiplies by a power of ten. */
static inline int wide_scale_up(wide_int *number, int decimals) {
    while (decimals > 0) {
        int step = decimals > MAX_DIGITS ? MAX_DIGITS : decimals;
        if (__builtin_mul_overflow(*number, (wide_int)POWERS[step], number))
            return 0;
        decimals -= step;
    }
    return 1;
}

/* The sum, with the larger scale, as `Decimal.__add__` gives it where it rounds nothing. */
static inline int wide_add(wide *sum, int8_t *scale, wide_int more, int more_scale) {
    wide_int held = wide_get(*sum);
    int larger = *scale > more_scale ? *scale : more_scale;
    if (!wide_scale_up(&held, larger - *scale) || !wide_scale_up(&more, larger - more_scale))
        return 0;
    if (__builtin_add_overflow(held, more, &held))
        return 0;
    *sum = wide_of(held);
    *scale = (int8_t)larger;
    return 1;
}

static const char PAIRS[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960"
    "616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Writes the digits of a number in front of `end`; returns where they begin. */
static inline char *digits_before(char *end, uint64_t number) {
    while (number >= 100) {
        unsigned pair = (unsigned)(number % 100) * 2;
        number /= 100;
        *--end = PAIRS[pair + 1];
        *--end = PAIRS[pair];
    }
    if (number >= 10) {
        *--end = PAIRS[number * 2 + 1];
        *--end = PAIRS[number * 2];
    } else {
        *--end = (char)('0' + number);
    }
    return end;
}

#define MAX_INT_DIGITS 24 /* of 64 bits, and some more */

/* Copies a few digits. It reads and writes `MAX_INT_DIGITS` bytes, of which the first ones count: that takes less than a call. */
static inline char *put_few(char *at, const char *digits, size_t count) {
    memcpy(at, digits, MAX_INT_DIGITS);
    return at + count;
}

static inline char *put_int(char *at, int64_t number) {
    char text[2 * MAX_INT_DIGITS], *end = text + MAX_INT_DIGITS;
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char *begin = digits_before(end, size);
    if (number < 0)
        *at++ = '-';
    return put_few(at, begin, (size_t)(end - begin));
}

static inline char *put_digits(char *at, const char *digits, int count, int scale, int negative) {
    if (negative)
        *at++ = '-';
    int exponent = count - 1 - scale; /* of the first digit */
    if (scale == 0) {
        memcpy(at, digits, (size_t)count);
        return at + count;
    }
    if (exponent < -6) { /* as `str(Decimal)`: 1E-7 */
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, (size_t)count - 1);
            at += count - 1;
        }
        *at++ = 'E';
        return put_int(at, exponent);
    }
    if (count > scale) {
        memcpy(at, digits, (size_t)(count - scale));
        at += count - scale;
        *at++ = '.';
        memcpy(at, digits + count - scale, (size_t)scale);
        return at + scale;
    }
    *at++ = '0';
    *at++ = '.';
    memset(at, '0', (size_t)(scale - count));
    at += scale - count;
    memcpy(at, digits, (size_t)count);
    return at + count;
}

/* Writes a number as `str(Decimal)` does; returns where it ends. At most `MAX_NUMBER_TEXT` bytes. */
static inline char *put_number(char *at, int64_t number, int scale) {
    char text[3 * MAX_INT_DIGITS], *end = text + MAX_INT_DIGITS;
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char *begin = digits_before(end, size);
    int count = (int)(end - begin);
    if (scale == 0 || scale >= count)
        return put_digits(at, begin, count, scale, number < 0);
    if (number < 0)
        *at++ = '-';
    at = put_few(at, begin, (size_t)(count - scale));
    *at++ = '.';
    return put_few(at, end - scale, (size_t)scale);
}

/* `negative`: also where the number is 0, which no `wide` can say. */
static inline char *put_wide_signed(char *at, wide_uint size, int scale, int negative) {
    char text[48], *end = text + sizeof text, *begin = end;
    const uint64_t part = 1000000000000000000ULL;
    while (size >= part) {
        char *stop = begin - MAX_DIGITS;
        begin = digits_before(begin, (uint64_t)(size % part));
        while (begin > stop)
            *--begin = '0';
        size /= part;
    }
    if (size || begin == end)
        begin = digits_before(begin, (uint64_t)size);
    return put_digits(at, begin, (int)(end - begin), scale, negative);
}

static inline char *put_wide(char *at, wide number, int scale) {
    wide_int value = wide_get(number);
    return put_wide_signed(at, value < 0 ? (wide_uint)0 - (wide_uint)value : (wide_uint)value, scale, value < 0);
}

#endif
