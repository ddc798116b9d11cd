-- Times are UTC. Not timestamptz: the sink would take them for times in the zone of Connect's JVM.
-- Prices are numeric without a scale, which keeps every digit.
CREATE TABLE bar_1m (
  broker text, symbol text, bucket_start timestamp, bucket_end timestamp NOT NULL,
  open numeric NOT NULL, high numeric NOT NULL, low numeric NOT NULL, close numeric NOT NULL,
  volume numeric, vwap numeric, ticks bigint NOT NULL, first_ts timestamp NOT NULL, last_ts timestamp NOT NULL,
  close_reason text NOT NULL, closed_at timestamp NOT NULL, watermark timestamp NOT NULL,
  first_offset bigint NOT NULL, last_offset bigint NOT NULL, closed_at_offset bigint NOT NULL,
  revision integer NOT NULL, partial boolean,
  PRIMARY KEY (broker, symbol, bucket_start)
);
