import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Bars of one minute with Flink's DataStream API: event time with bounded out-of-orderness, an aggregate by key, and Kafka's sink.
 * README.md gives the reason of each setting.
 *
 * <p>Arguments: bootstrap servers, topic of ticks, topic of bars, group, parallelism, EXACTLY_ONCE or AT_LEAST_ONCE.
 */
public final class FlinkBars {
    private static final Duration WINDOW = Duration.ofMinutes(1);
    private static final Duration GRACE = Duration.ofSeconds(5);
    private static final Duration IDLENESS = Duration.ofMinutes(1);
    private static final long CHECKPOINT_MS = 1_000;

    private FlinkBars() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        String group = arguments[3];
        DeliveryGuarantee guarantee = DeliveryGuarantee.valueOf(arguments[5]);

        Configuration settings = new Configuration();
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("pipeline.generic-types", "false");
        settings.setString("state.backend.type", "hashmap");
        settings.setString("execution.checkpointing.storage", "filesystem");
        settings.setString("execution.checkpointing.dir", "file://" + System.getProperty("user.dir") + "/checkpoints");
        settings.setString("taskmanager.numberOfTaskSlots", arguments[4]);
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        environment.setParallelism(Integer.parseInt(arguments[4]));
        environment.enableCheckpointing(CHECKPOINT_MS);

        KafkaSource<Tick> source = KafkaSource.<Tick>builder()
                .setBootstrapServers(bootstrap)
                .setTopics(arguments[1])
                .setGroupId(group)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new Decode())
                .build();
        WatermarkStrategy<Tick> watermarks = WatermarkStrategy.<Tick>forBoundedOutOfOrderness(GRACE)
                .withIdleness(IDLENESS)
                .withTimestampAssigner((tick, recordTimestamp) -> tick.ts);
        KafkaSink<KeyedBar> sink = KafkaSink.<KeyedBar>builder()
                .setBootstrapServers(bootstrap)
                .setRecordSerializer(new Encode(arguments[2]))
                .setDeliveryGuarantee(guarantee)
                .setTransactionalIdPrefix(group)
                .setProperty("transaction.timeout.ms", "600000")
                .build();
        environment.fromSource(source, watermarks, "ticks")
                .keyBy(tick -> tick.key)
                .window(TumblingEventTimeWindows.of(WINDOW))
                .aggregate(new Fold(), new Close())
                .sinkTo(sink);

        Progress.print();
        environment.execute("bars");
    }

    /** A closed bar on its way to the sink. */
    public static final class KeyedBar {
        public String key;
        public long start;
        public Bar bar;
    }

    /** Reads ticks into one object again and again, which object reuse allows. */
    private static final class Decode implements KafkaRecordDeserializationSchema<Tick> {
        private transient Tick tick;

        @Override
        public void open(DeserializationSchema.InitializationContext context) {
            tick = new Tick();
        }

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tick> out) throws IOException {
            tick.key = new String(record.key(), StandardCharsets.UTF_8);
            tick.parse(record.value());
            out.collect(tick);
            Progress.TICKS.increment();
        }

        @Override
        public TypeInformation<Tick> getProducedType() {
            return TypeInformation.of(Tick.class);
        }
    }

    private static final class Fold implements AggregateFunction<Tick, Bar, Bar> {
        @Override
        public Bar createAccumulator() {
            return new Bar();
        }

        @Override
        public Bar add(Tick tick, Bar bar) {
            bar.add(tick);
            return bar;
        }

        @Override
        public Bar getResult(Bar bar) {
            return bar;
        }

        @Override
        public Bar merge(Bar one, Bar other) {
            throw new UnsupportedOperationException("tumbling windows are never merged");
        }
    }

    private static final class Close extends ProcessWindowFunction<Bar, KeyedBar, String, TimeWindow> {
        @Override
        public void process(String key, Context context, Iterable<Bar> bars, Collector<KeyedBar> out) {
            KeyedBar closed = new KeyedBar();
            closed.key = key;
            closed.start = context.window().getStart();
            closed.bar = bars.iterator().next();
            out.collect(closed);
        }
    }

    private static final class Encode implements KafkaRecordSerializationSchema<KeyedBar> {
        private final String topic;

        Encode(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(KeyedBar closed, KafkaSinkContext context, Long timestamp) {
            byte[] key = closed.key.getBytes(StandardCharsets.UTF_8);
            return new ProducerRecord<>(topic, key, closed.bar.json(closed.key, closed.start));
        }
    }
}
