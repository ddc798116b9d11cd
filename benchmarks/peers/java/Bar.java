import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;

/**
 * The bar of one key and minute. Its open and close are those of the first and the last tick by (ts, seq), in whatever order they
 * arrive: with open and close by arrival, a tick out of order makes a wrong bar.
 */
public final class Bar {
    public BigDecimal open;
    public BigDecimal high;
    public BigDecimal low;
    public BigDecimal close;
    public long ticks;
    public long firstTs;
    public long firstSeq;
    public long lastTs;
    public long lastSeq;

    void add(Tick tick) {
        BigDecimal bid = tick.bid;
        if (ticks == 0) {
            open = high = low = close = bid;
            firstTs = lastTs = tick.ts;
            firstSeq = lastSeq = tick.seq;
        } else {
            if (bid.compareTo(high) > 0) {
                high = bid;
            } else if (bid.compareTo(low) < 0) {
                low = bid;
            }
            if (tick.ts > lastTs || (tick.ts == lastTs && tick.seq >= lastSeq)) {
                close = bid;
                lastTs = tick.ts;
                lastSeq = tick.seq;
            } else if (tick.ts < firstTs || (tick.ts == firstTs && tick.seq < firstSeq)) {
                open = bid;
                firstTs = tick.ts;
                firstSeq = tick.seq;
            }
        }
        ticks++;
    }

    /** The value of its record. */
    byte[] json(String key, long start) {
        return new StringBuilder(160)
                .append("{\"key\":\"").append(key)
                .append("\",\"start\":").append(start)
                .append(",\"open\":").append(open.toPlainString())
                .append(",\"high\":").append(high.toPlainString())
                .append(",\"low\":").append(low.toPlainString())
                .append(",\"close\":").append(close.toPlainString())
                .append(",\"ticks\":").append(ticks)
                .append('}').toString().getBytes(StandardCharsets.UTF_8);
    }
}
