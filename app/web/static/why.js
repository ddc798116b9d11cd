// Why a bar is or is not final, as `/api/v1/why` answers: the sentence, and the facts beside it.

import { $, andList, element, formatClock, formatDuration, formatTime, inZone, plural } from "./base.js";
import { shown } from "./names.js";

const DAY = 86_400_000;

// pairs of name and text; facts that are unknown are left out
function facts(answer) {
  const found = {
    status: answer.status.replace("_", " "),
    window: `${formatTime(answer.bucket_start)} to ${answer.bucket_end - answer.bucket_start < DAY ? formatClock(answer.bucket_end) : formatTime(answer.bucket_end)}`,
    "stream time": formatTime(answer.stream_time),
    watermark: formatTime(answer.watermark),
    "still missing": answer.missing_ms === null ? "-" : formatDuration(answer.missing_ms),
    "closed by": answer.bar ? ({ idle: "silence", correction: "late ticks revised it" }[answer.bar.close_reason] ?? "a record that moved the watermark") : "-",
    "closed at": formatTime(answer.bar?.closed_at),
    "closes by": { idle: "a tick of a later time, else by silence", data: "a tick of a later time" }[answer.closes_by] ?? "-",
    "at the latest": formatTime(answer.closes_at),
    offsets: answer.bar ? `${answer.bar.first_offset} to ${answer.bar.last_offset}, closed at ${answer.bar.closed_at_offset}` : answer.window ? `${answer.window.first_offset} to ${answer.window.last_offset}` : "-",
    "part of": answer.part_of.map((one) => `${one.frame} ${formatTime(one.bucket_start)}`).join(", ") || "-",
    "folded from": answer.folded ? plural(answer.folded.folded, "bar") : "-",
    revision: answer.bar?.revision || answer.folded?.revision || "-",
    "can be revised": answer.correctable === null ? "-" : answer.correctable ? `until stream time ${formatTime(answer.expires_at_stream_time)}` : "no longer",
    "revision due": answer.revision_due === null ? "-" : `${formatTime(answer.revision_due)}, ${plural(answer.revision_added, "late tick")} so far`,
    "late ticks": answer.late_ticks,
    partial: (answer.bar ?? answer.window)?.partial ? "yes: ticks may be missing" : "-",
    partition: answer.partition ?? "-",
    "also in": answer.also_in.length ? `partition ${andList(answer.also_in)}` : "-",
    worker: answer.worker ?? "-",
  };
  return Object.entries(found).filter(([, value]) => value !== "-");
}

export function showWhy(answer) {
  $("why").textContent = shown(inZone(answer.sentence));
  $("why-facts").replaceChildren(...facts(answer).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, String(text))]));
}
