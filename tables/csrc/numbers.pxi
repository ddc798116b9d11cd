# Decimals from and to integers with a scale.

cdef bint _fits(object number, int64_t* mantissa, int8_t* scale):
    """Take a `Decimal`, if it is finite, has at most 18 digits and 18 decimals, and is no negative zero."""
    cdef tuple digits
    sign, digits, exponent = number.as_tuple()
    if type(exponent) is not int or exponent > 0 or exponent < -MAX_DIGITS or len(digits) > MAX_DIGITS:
        return False
    cdef int64_t value = 0
    for digit in digits:
        value = value * 10 + <int64_t>digit
    if sign and not value:
        return False
    mantissa[0] = -value if sign else value
    scale[0] = <int8_t>-exponent
    return True


cdef object _decimal(int64_t mantissa, int scale):
    cdef char[MAX_NUMBER_TEXT] text
    return Decimal(text[:put_number(text, mantissa, scale) - text].decode("ascii"))


cdef object _wide_decimal(wide number, int scale):
    cdef char[MAX_NUMBER_TEXT] text
    return Decimal(text[:put_wide(text, number, scale) - text].decode("ascii"))


cdef bint _fold_of(object price, object qty, object ts, object seq, object offset, fold_t* made):
    if not (_is_small(ts) and _is_small(seq) and _is_small(offset)):
        return False
    made.ts, made.seq, made.offset = ts, seq, offset
    if not _fits(price, &made.price, &made.price_scale):
        return False
    made.sized = qty is not None
    return qty is None or _fits(qty, &made.qty, &made.qty_scale)
