// The facts beside the sentence of `/api/v1/why`.

import { andList, formatClock, formatDuration, formatTime } from "./base.js";

// pairs of name and text; facts that are unknown are left out
export function whyFacts(answer) {
  const facts = {
    status: answer.status.replace("_", " "),
    window: `${formatTime(answer.bucket_start)} to ${formatClock(answer.bucket_end)}`,
    "stream time": formatTime(answer.stream_time),
    watermark: formatTime(answer.watermark),
    "still missing": answer.missing_ms === null ? "-" : formatDuration(answer.missing_ms),
    "closed by": answer.bar ? (answer.bar.close_reason === "idle" ? "silence" : "a record that moved the watermark") : "-",
    "closed at": formatTime(answer.bar?.closed_at),
    "closes by": { idle: "a tick of a later time, else by silence", data: "a tick of a later time" }[answer.closes_by] ?? "-",
    "at the latest": formatTime(answer.closes_at),
    offsets: answer.bar ? `${answer.bar.first_offset} to ${answer.bar.last_offset}, closed at ${answer.bar.closed_at_offset}` : answer.window ? `${answer.window.first_offset} to ${answer.window.last_offset}` : "-",
    "late ticks": answer.late_ticks,
    partial: (answer.bar ?? answer.window)?.partial ? "yes: ticks may be missing" : "-",
    partition: answer.partition ?? "-",
    "also in": answer.also_in.length ? `partition ${andList(answer.also_in)}` : "-",
    worker: answer.worker ?? "-",
  };
  return Object.entries(facts).filter(([, value]) => value !== "-");
}
