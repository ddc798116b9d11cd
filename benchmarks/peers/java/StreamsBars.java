import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/**
 * Bars of one minute with Kafka Streams: a windowed aggregate, suppressed until the window closes, exactly once. README.md gives the
 * reason of each setting.
 *
 * <p>Arguments: bootstrap servers, topic of ticks, topic of bars, application id, threads.
 */
public final class StreamsBars {
    private static final Duration WINDOW = Duration.ofMinutes(1);
    private static final Duration GRACE = Duration.ofSeconds(5);
    private static final int STATE_BYTES = 4 * (Long.BYTES + 1) + 5 * Long.BYTES;

    private StreamsBars() {}

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, "state");
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");

        var store = Stores.inMemoryWindowStore("bars", WINDOW.plus(GRACE), WINDOW, false);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(arguments[1], Consumed.with(Serdes.String(), ticks()).withTimestampExtractor((record, time) -> ((Tick) record.value()).ts))
                .groupByKey()
                .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE))
                .aggregate(
                        Bar::new,
                        (key, tick, bar) -> {
                            bar.add(tick);
                            Progress.TICKS.increment();
                            return bar;
                        },
                        Materialized.<String, Bar>as(store).withKeySerde(Serdes.String()).withValueSerde(bars()))
                .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
                .toStream()
                .map((window, bar) -> KeyValue.pair(window.key(), bar.json(window.key(), window.window().start())))
                .to(arguments[2], Produced.with(Serdes.String(), Serdes.ByteArray()));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        Progress.print();
        streams.start();
    }

    private static Serde<Tick> ticks() {
        return Serdes.serdeFrom(
                (topic, tick) -> {
                    throw new UnsupportedOperationException("ticks are only read");
                },
                (topic, value) -> {
                    Tick tick = new Tick();
                    try {
                        tick.parse(value);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                    return tick;
                });
    }

    /** The state of a window in 76 bytes: JSON would be written and parsed again for each tick. */
    private static Serde<Bar> bars() {
        return Serdes.serdeFrom((topic, bar) -> bar == null ? null : written(bar), (topic, state) -> state == null ? null : read(state));
    }

    private static byte[] written(Bar bar) {
        ByteBuffer state = ByteBuffer.allocate(STATE_BYTES);
        for (BigDecimal price : new BigDecimal[] {bar.open, bar.high, bar.low, bar.close}) {
            state.putLong(price.unscaledValue().longValueExact()).put((byte) price.scale());
        }
        return state.putLong(bar.ticks).putLong(bar.firstTs).putLong(bar.firstSeq).putLong(bar.lastTs).putLong(bar.lastSeq).array();
    }

    private static Bar read(byte[] bytes) {
        ByteBuffer state = ByteBuffer.wrap(bytes);
        Bar bar = new Bar();
        bar.open = price(state);
        bar.high = price(state);
        bar.low = price(state);
        bar.close = price(state);
        bar.ticks = state.getLong();
        bar.firstTs = state.getLong();
        bar.firstSeq = state.getLong();
        bar.lastTs = state.getLong();
        bar.lastSeq = state.getLong();
        return bar;
    }

    private static BigDecimal price(ByteBuffer state) {
        long digits = state.getLong();
        return BigDecimal.valueOf(digits, state.get());
    }
}
