"""What the numbers of the page mean, and which metric each of them is. The page `/numbers` shows it."""

from __future__ import annotations

from typing import NamedTuple


class Number(NamedTuple):
    """A number of the page. `metric`: the end of the metric's name, which the setting `metrics_namespace` may go before."""

    id: str
    name: str
    text: str
    metric: str


NUMBERS = (
    Number(
        "read",
        "ticks/s",
        "Records read from the input, ticks and heartbeats, valid or not. The large number is the mean of ten seconds.",
        "ticks_read_total",
    ),
    Number(
        "bars", "bars/s", "Final bars that the broker has acknowledged. They come at the ends of windows.", "bars_emitted_total"
    ),
    Number(
        "lag",
        "lag",
        "Records in the input that have not been read yet. It is 0 if the workers keep up. If it grows, they need more CPU, or "
        "there must be more of them.",
        "consumer_lag_records",
    ),
    Number(
        "latency",
        "latency",
        "From the end of a window plus grace to the broker's acknowledgement of its bar: of 100 bars, 50 and 99 came within "
        "these times. It includes how long the next tick, or the idle timer, let the window wait. In a replay it is as large "
        "as the ticks are old. The times are estimated within the buckets of the metric.",
        "window_due_to_bar_seconds",
    ),
    Number("open", "open windows", "Windows that have ticks and still accept more.", "windows_open_count"),
    Number(
        "wheel",
        "timer",
        "How late the task ran last that closes the windows of silent markets. Above 100 ms the process has too much to do.",
        "wheel_timer_lag_seconds",
    ),
    Number(
        "migrations", "migrations", "Whether the KSQL statements of this app are applied to ksqlDB.", "migrations_applied_total"
    ),
    Number("binned", "binned", "Ticks that became part of a bar.", "ticks_processed_total"),
    Number(
        "late",
        "late",
        "Ticks that came after their window had closed. They are in the topic of late ticks; the bar is not changed by them, "
        "unless late_policy=correct.",
        "late_ticks_dropped_total",
    ),
    Number(
        "rejected",
        "rejected",
        "Records that are not valid ticks. They are in the topic of rejected ones, with the reason.",
        "rejected_ticks_total",
    ),
    Number("heartbeats", "heartbeats", "Records that only advance stream time.", "ticks_processed_total"),
    Number(
        "lost",
        "lost",
        "Records that were deleted from the input before they were read. With on_gap=stop there are none.",
        "ticks_processed_total",
    ),
    Number(
        "position",
        "position",
        "The next offset to be read. What lies between the last checkpoint and it is read again after a crash.",
        "checkpoint_lag_records",
    ),
    Number(
        "stream-time",
        "stream time",
        "The highest event time seen in a scope. If it does not advance, the feed has stopped or the market is closed.",
        "watermark_lag_slowest_ms",
    ),
    Number(
        "watermark",
        "watermark",
        "Stream time less grace. Windows that end at or before it are closed.",
        "watermark_lag_ms",
    ),
)
