/* Reads the usual tick, strictly: a JSON object of plain ASCII with the fields in any order.
 *
 * What is unusual is left to Python, whether it is right or wrong: escapes, exponents, more than 18 digits, text that is not
 * ASCII, nested values, a field twice, a heartbeat, a time that is no integer. So this parser may refuse a good tick, and must
 * never read one in another way than msgspec does. No byte at or behind `end` is read.
 */
#ifndef BARWHEEL_TICKS_H
#define BARWHEEL_TICKS_H
#include "numbers.h"

typedef struct {
    int64_t ts, seq;
    int64_t price, qty;
    int price_scale, qty_scale;
    int sized;                          /* whether it has a quantity */
    const uint8_t *broker, *symbol;     /* where the value repeats them */
    int64_t broker_size, symbol_size;   /* -1: it does not */
} tick_t;

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* A number without exponent and of at most 18 digits, those of a leading zero not counted. NULL: it is another one. */
static inline const uint8_t *read_number(const uint8_t *p, const uint8_t *end, int64_t *number, int *scale) {
    const uint8_t *begin;
    uint64_t value = 0;
    int negative = 0;
    if (p < end && *p == '-') {
        negative = 1;
        p++;
    }
    begin = p;
    while (p < end && (unsigned)(*p - '0') < 10 && p - begin <= MAX_DIGITS)
        value = value * 10 + (unsigned)(*p++ - '0');
    if (p == begin || p - begin > MAX_DIGITS || (*begin == '0' && p - begin > 1))
        return NULL;
    int digits = *begin == '0' ? 0 : (int)(p - begin);
    *scale = 0;
    if (p < end && *p == '.') {
        const uint8_t *point = ++p;
        while (p < end && (unsigned)(*p - '0') < 10 && p - point < MAX_DIGITS) {
            if (digits || *p != '0')
                digits++;
            if (digits > MAX_DIGITS)
                return NULL;
            value = value * 10 + (unsigned)(*p++ - '0');
        }
        if (p == point)
            return NULL;
        *scale = (int)(p - point);
    }
    if (p < end && ((unsigned)(*p - '0') < 10 || *p == '.' || *p == 'e' || *p == 'E'))
        return NULL;
    if (negative && !value)
        return NULL; /* Decimal has a negative zero */
    *number = negative ? -(int64_t)value : (int64_t)value;
    return p;
}

/* A text of printable ASCII without escapes: from behind its first quote to its last one. NULL: it is another one. */
static inline const uint8_t *read_text(const uint8_t *p, const uint8_t *end) {
    while (p < end && *p != '"') {
        if (*p < 0x20 || *p > 0x7e || *p == '\\')
            return NULL;
        p++;
    }
    return p < end ? p : NULL;
}

static inline int begins(const uint8_t *p, const uint8_t *end, const char *word, size_t size) {
    return (size_t)(end - p) >= size && memcmp(p, word, size) == 0;
}

/* A number, or a text with one in it. */
static inline const uint8_t *read_decimal(const uint8_t *p, const uint8_t *end, int64_t *number, int *scale) {
    if (p < end && *p == '"') {
        p = read_number(p + 1, end, number, scale);
        return p != NULL && p < end && *p == '"' ? p + 1 : NULL;
    }
    return read_number(p, end, number, scale);
}

static inline const uint8_t *skip_value(const uint8_t *p, const uint8_t *end) {
    if (p >= end)
        return NULL;
    if (*p == '"') {
        p = read_text(p + 1, end);
        return p == NULL ? NULL : p + 1;
    }
    if (begins(p, end, "true", 4) || begins(p, end, "null", 4))
        return p + 4;
    if (begins(p, end, "false", 5))
        return p + 5;
    int64_t number;
    int scale;
    return read_number(p, end, &number, &scale);
}

enum { SEEN_TS = 1, SEEN_PRICE = 2, SEEN_QTY = 4, SEEN_SEQ = 8, SEEN_HEARTBEAT = 16, SEEN_BROKER = 32, SEEN_SYMBOL = 64 };

#define IS(WORD) (size == sizeof(WORD) - 1 && memcmp(name, WORD, sizeof(WORD) - 1) == 0)
#define ONCE(FLAG) \
    do { \
        if (seen & (FLAG)) \
            return 0; \
        seen |= (FLAG); \
    } while (0)

/* `price`: the name of the field that makes the bar. Returns whether it is a usual tick. */
static int read_tick(const uint8_t *p, const uint8_t *end, const char *price, size_t price_size, tick_t *t) {
    unsigned seen = 0;
    int scale;
    t->seq = 0;
    t->sized = 0;
    t->broker_size = t->symbol_size = -1;
    t->broker = t->symbol = NULL;
    p = skip_space(p, end);
    if (p >= end || *p++ != '{')
        return 0;
    for (;;) {
        p = skip_space(p, end);
        if (p >= end || *p++ != '"')
            return 0;
        const uint8_t *name = p;
        if ((p = read_text(p, end)) == NULL)
            return 0;
        size_t size = (size_t)(p - name);
        p = skip_space(p + 1, end);
        if (p >= end || *p++ != ':')
            return 0;
        p = skip_space(p, end);
        if (IS("ts")) {
            ONCE(SEEN_TS);
            p = read_number(p, end, &t->ts, &scale);
            if (p == NULL || scale)
                return 0;
        } else if (size == price_size && memcmp(name, price, size) == 0) {
            ONCE(SEEN_PRICE);
            p = read_decimal(p, end, &t->price, &t->price_scale);
        } else if (IS("qty")) {
            ONCE(SEEN_QTY);
            if (begins(p, end, "null", 4)) {
                p += 4;
            } else {
                p = read_decimal(p, end, &t->qty, &t->qty_scale);
                t->sized = 1;
            }
        } else if (IS("seq")) {
            ONCE(SEEN_SEQ);
            p = read_number(p, end, &t->seq, &scale);
            if (p == NULL || scale)
                return 0;
        } else if (IS("heartbeat")) {
            ONCE(SEEN_HEARTBEAT);
            p = begins(p, end, "false", 5) ? p + 5 : NULL;
        } else if (IS("broker") || IS("symbol")) {
            int broker = name[0] == 'b';
            ONCE(broker ? SEEN_BROKER : SEEN_SYMBOL);
            if (begins(p, end, "null", 4)) {
                p += 4;
            } else {
                if (p >= end || *p++ != '"')
                    return 0;
                const uint8_t *text = p;
                if ((p = read_text(p, end)) == NULL)
                    return 0;
                if (broker)
                    t->broker = text, t->broker_size = p - text;
                else
                    t->symbol = text, t->symbol_size = p - text;
                p++;
            }
        } else {
            p = skip_value(p, end);
        }
        if (p == NULL)
            return 0;
        p = skip_space(p, end);
        if (p >= end)
            return 0;
        if (*p == ',') {
            p++;
            continue;
        }
        if (*p != '}')
            return 0;
        p = skip_space(p + 1, end);
        return p == end && (seen & (SEEN_TS | SEEN_PRICE)) == (SEEN_TS | SEEN_PRICE);
    }
}

#undef IS
#undef ONCE

#endif
