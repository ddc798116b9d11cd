import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.math.BigDecimal;

/** One tick as it comes from Kafka: {"ts":1399248000123,"bid":1.38691,"ask":1.38697,"seq":0}. A POJO, as Flink's serializer wants it. */
public final class Tick {
    private static final JsonFactory JSON = new JsonFactory();

    public String key;
    public long ts;
    public long seq;
    public BigDecimal bid;

    /** Reads the value of a record into this tick, with exact prices. */
    void parse(byte[] value) throws IOException {
        try (JsonParser parser = JSON.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "ts" -> ts = parser.getLongValue();
                    case "seq" -> seq = parser.getLongValue();
                    case "bid" -> bid = parser.getDecimalValue();
                    default -> parser.skipChildren();
                }
            }
        }
    }
}
