/* One open window: what `tables.window.Window` is, with the same rules, as a C struct. */
#ifndef BARWHEEL_WINDOW_H
#define BARWHEEL_WINDOW_H
#include "numbers.h"

/* The fields that every tick reads come first, side by side. */
typedef struct {
    int64_t end;
    int64_t ticks;
    int64_t high;
    int64_t low;
    int8_t high_scale, low_scale, close_scale, open_scale, volume_scale, notional_scale;
    uint8_t sized; /* whether a tick had a quantity; volume and notional are 0 otherwise */
    uint8_t spare;
    int64_t close_ts;
    int64_t close;
    int64_t close_seq;
    int64_t close_offset;
    int64_t last_offset;
    int64_t open_ts;
    int64_t open_seq;
    int64_t open_offset;
    int64_t open;
    int64_t first_offset;
    int64_t high_ts, high_seq, high_offset;
    int64_t low_ts, low_seq, low_offset;
    int64_t opened_at;
    wide volume;
    wide notional;
} window_t;

/* What a tick adds to a window. */
typedef struct {
    int64_t ts, seq, offset;
    int64_t price, qty;
    int8_t price_scale, qty_scale;
    uint8_t sized; /* whether it has a quantity */
} fold_t;

/* Whether (ts, seq, offset) is before another. */
static inline int is_before(int64_t ts, int64_t seq, int64_t offset, int64_t ts2, int64_t seq2, int64_t offset2) {
    if (ts != ts2)
        return ts < ts2;
    if (seq != seq2)
        return seq < seq2;
    return offset < offset2;
}

static inline int add_quantity(window_t *w, const fold_t *t) {
    if (t->price < 0 && t->qty == 0)
        return 0; /* Decimal has a negative zero, and a mantissa has none */
    wide volume = w->volume, notional = w->notional;
    int8_t volume_scale = w->sized ? w->volume_scale : t->qty_scale;
    int8_t notional_scale = w->sized ? w->notional_scale : (int8_t)(t->price_scale + t->qty_scale);
    if (!wide_add(&volume, &volume_scale, t->qty, t->qty_scale))
        return 0;
    if (!wide_add(&notional, &notional_scale, (wide_int)t->price * t->qty, t->price_scale + t->qty_scale))
        return 0;
    w->volume = volume, w->volume_scale = volume_scale;
    w->notional = notional, w->notional_scale = notional_scale;
    w->sized = 1;
    return 1;
}

static inline int window_begin(window_t *w, int64_t end, int64_t arrival, const fold_t *t) {
    memset(w, 0, sizeof *w);
    if (t->sized && !add_quantity(w, t))
        return 0;
    w->end = end, w->ticks = 1, w->opened_at = arrival;
    w->high = w->low = w->close = w->open = t->price;
    w->high_scale = w->low_scale = w->close_scale = w->open_scale = t->price_scale;
    w->close_ts = w->open_ts = w->high_ts = w->low_ts = t->ts;
    w->close_seq = w->open_seq = w->high_seq = w->low_seq = t->seq;
    w->close_offset = w->open_offset = w->high_offset = w->low_offset = t->offset;
    w->first_offset = w->last_offset = t->offset;
    return 1;
}

#define TAKE(NAME) \
    (w->NAME = t->price, w->NAME##_scale = t->price_scale, w->NAME##_ts = t->ts, w->NAME##_seq = t->seq, \
     w->NAME##_offset = t->offset)

/* Adds a tick of this window. Returns 0, with nothing changed, where its sums would not fit. */
static inline int window_fold(window_t *w, const fold_t *t) {
    if (t->sized && !add_quantity(w, t))
        return 0;
    int above = number_compare(t->price, t->price_scale, w->high, w->high_scale);
    int below = number_compare(t->price, t->price_scale, w->low, w->low_scale);
    if (above > 0)
        TAKE(high);
    else if (below < 0)
        TAKE(low);
    else {
        if (above == 0 && is_before(t->ts, t->seq, t->offset, w->high_ts, w->high_seq, w->high_offset))
            TAKE(high);
        if (below == 0 && is_before(t->ts, t->seq, t->offset, w->low_ts, w->low_seq, w->low_offset))
            TAKE(low);
    }
    if (is_before(w->close_ts, w->close_seq, w->close_offset, t->ts, t->seq, t->offset))
        TAKE(close);
    else if (is_before(t->ts, t->seq, t->offset, w->open_ts, w->open_seq, w->open_offset))
        TAKE(open);
    w->ticks++;
    w->last_offset = t->offset;
    return 1;
}

#undef TAKE

#define VWAP_DECIMALS 8

/* Volume-weighted average price, rounded half-even to 8 decimals: its digits, and its sign, which 0 has as well.
 *
 * Returns 1; 2 where there is none; 0 where 128 bits are not enough for it.
 */
static inline int window_vwap(const window_t *w, wide_uint *digits, int *negative) {
    if (!w->sized)
        return 2;
    wide_int volume = wide_get(w->volume), notional = wide_get(w->notional);
    if (volume <= 0)
        return volume == 0 ? 2 : 0;
    int shift = VWAP_DECIMALS + w->volume_scale - w->notional_scale;
    if (shift >= 0 ? !wide_scale_up(&notional, shift) : !wide_scale_up(&volume, -shift))
        return 0;
    *negative = notional < 0;
    wide_uint size = notional < 0 ? (wide_uint)0 - (wide_uint)notional : (wide_uint)notional, by = (wide_uint)volume;
    wide_uint quotient = size / by, rest = size % by, missing = by - rest;
    if (rest > missing || (rest == missing && (quotient & 1)))
        quotient++;
    *digits = quotient;
    return 1;
}

/* ---- text */

#define LITERAL(TEXT) (memcpy(at, TEXT, sizeof(TEXT) - 1), at += sizeof(TEXT) - 1)
#define MAX_STATE_TEXT 640 /* bytes of a window as JSON */

static inline char *put_quoted(char *at, int64_t number, int scale) {
    *at++ = '"';
    at = put_number(at, number, scale);
    *at++ = '"';
    return at;
}

/* The window as `msgspec.json.encode(Window)` writes it. */
static inline char *put_state(char *at, const window_t *w) {
    *at++ = '[';
#define INT(FIELD) (at = put_int(at, w->FIELD), *at++ = ',')
#define PRICE(FIELD) (at = put_quoted(at, w->FIELD, w->FIELD##_scale), *at++ = ',')
    INT(end);
    INT(ticks);
    PRICE(high);
    PRICE(low);
    PRICE(close);
    INT(close_ts);
    INT(close_seq);
    INT(close_offset);
    INT(last_offset);
    PRICE(open);
    INT(open_ts);
    INT(first_offset);
    if (w->sized) {
        *at++ = '"';
        at = put_wide(at, w->volume, w->volume_scale);
        LITERAL("\",\"");
        at = put_wide(at, w->notional, w->notional_scale);
        LITERAL("\",");
    } else {
        LITERAL("null,null,");
    }
    INT(open_seq);
    INT(open_offset);
    INT(high_ts);
    INT(high_seq);
    INT(high_offset);
    INT(low_ts);
    INT(low_seq);
    INT(low_offset);
#undef INT
#undef PRICE
    at = put_int(at, w->opened_at);
    *at++ = ']';
    return at;
}

#define MAX_PRICES_TEXT 640 /* bytes of the part of a bar that a window holds, without its offsets */

/* From the opening price to the offset of the first tick: what comes between `"open":` and the evidence.
 *
 * Returns NULL where 128 bits are not enough for the vwap.
 */
static inline char *put_prices(char *at, const window_t *w) {
    at = put_number(at, w->open, w->open_scale);
    LITERAL(",\"high\":");
    at = put_number(at, w->high, w->high_scale);
    LITERAL(",\"low\":");
    at = put_number(at, w->low, w->low_scale);
    LITERAL(",\"close\":");
    at = put_number(at, w->close, w->close_scale);
    if (!w->sized) {
        LITERAL(",\"volume\":null,\"vwap\":null,\"ticks\":");
    } else {
        wide_uint digits = 0;
        int negative = 0, found = window_vwap(w, &digits, &negative);
        if (!found)
            return NULL;
        LITERAL(",\"volume\":");
        at = put_wide(at, w->volume, w->volume_scale);
        LITERAL(",\"vwap\":");
        if (found == 2)
            LITERAL("null");
        else
            at = put_wide_signed(at, digits, VWAP_DECIMALS, negative);
        LITERAL(",\"ticks\":");
    }
    at = put_int(at, w->ticks);
    LITERAL(",\"first_ts\":");
    at = put_int(at, w->open_ts);
    LITERAL(",\"last_ts\":");
    return put_int(at, w->close_ts);
}

#endif
