"""What a user should know before rows are sent, one line each: rows that would be rejected, or late."""

from __future__ import annotations

from app.display import utc
from app.settings import Settings
from app.tickfiles.refusals import remedy
from app.tickfiles.survey import StreamTimes, Survey


def concerns(settings: Settings, survey: Survey, reached: StreamTimes, *, skip_rejected: bool = False) -> list[str]:
    """The lines; none if every row will be in a bar. With `skip_rejected` rejected rows are no concern."""
    found = [] if skip_rejected else _rejected(settings, survey)
    scope = f"scope={settings.text_of('scope')}"
    for part in survey.parts:
        if part.late:
            many = f"all {part.rows}" if part.late == part.rows else f"{part.late} of {part.rows}"
            number, name = part.behind
            where = f"{settings.input_topic}[{number}]{' ' + name if name else ''}"
            found.append(
                f"{part.source.name}: {many} ticks are late, the last at {utc(part.last)}: {where} has reached "
                f"{utc(reached[part.behind])} ({scope}); give the files of one period in one command, which merges them"
            )
    for part in survey.parts:
        if part.disordered:
            found.append(
                f"{part.source.name}: up to {part.disordered} of {part.rows} ticks come after later ones and are late, first "
                f"in row {part.disordered_at} ({scope}): --reorder {_shown(part.disorder)} puts them in order"
            )
    return found


def _rejected(settings: Settings, survey: Survey) -> list[str]:
    lines = []
    for reason, count in survey.refused.most_common():
        advice = remedy(reason, settings)
        text = f"{count} of {survey.rows} ticks would be rejected ({reason}), the first is {survey.examples[reason]}"
        lines.append(f"{text}; {advice}" if advice else text)
    return lines


def _shown(ms: int) -> str:
    """A duration that is at least this long."""
    for name, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms >= 2 * size:
            return f"{-(-ms // size)}{name}"
    return f"{ms}ms"
