"""What `app migrate` says about swaps: what they replace, and who must move; and about statements that are taken over."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from app.commands import base
from migrations.plan.model import Plan
from migrations.run import report, rollback, swap
from migrations.run.adopt import Adopted, adopt
from migrations.run.ksql_migrations import import_state
from migrations.run.target import Progress, Target


async def run_swap(where: Target, plan: Plan, on_progress: Progress, *, execute: bool, as_json: bool) -> int:
    """Swap, or without `execute` show what a swap would replace."""
    if not execute:
        return _show_preview(await swap.preview(where, plan), as_json=as_json)
    result = await swap.force_new_name(where, plan, on_progress)
    if as_json:
        rows, names = ([asdict(one) for one in found] for found in (result.comparisons, result.renamings))
        applied = [report.entry_data(entry) for entry in result.applied]
        base.out_json({"applied": applied, "compared": rows, "replaced": names})
        return 0
    for one in result.comparisons:
        base.out(f"{one.new} has {one.new_rows} rows, {one.old} {one.old_rows}: of the common ones {one.equal} are equal")
    _show_readers(result.renamings)
    base.out("swapped; the old half is paused or without readers: `app migrate rollback` puts it back, `retire` drops it")
    return 0


def _show_preview(renamings: list[swap.Renaming], *, as_json: bool) -> int:
    if as_json:
        base.out_json({"would_replace": [asdict(one) for one in renamings]})
    else:
        for one in renamings:
            base.out(f"{one.old or 'nothing'} would be replaced by {one.new}")
        _show_readers(renamings)
        base.say("`app migrate --apply --force-new-name` does it")
    return 3


def _show_readers(renamings: list[swap.Renaming]) -> None:
    """Who must move: a swap cannot redirect them."""
    for one in renamings:
        if one.asked:
            base.out(f"who asks {one.old} by pull queries must ask {one.new} instead: {one.old} stays until `retire`")
        for reader in one.readers:
            base.out(f"query {reader} reads from {one.old}, and is not of this plan: let it read from {one.new}")


async def run_retire(where: Target, plan: Plan, *, readers_moved: bool, as_json: bool) -> int:
    """Drop what swaps have put aside."""
    return _show_sent(
        await rollback.retire(where, plan, readers_moved=readers_moved), "nothing has been replaced", as_json=as_json
    )


async def run_rollback(where: Target, plan: Plan, *, as_json: bool) -> int:
    """Put the old half of a swap back in its place."""
    return _show_sent(await rollback.roll_back(where, plan), "put back; no query had to be paused", as_json=as_json)


def _show_sent(sent: list[str], otherwise: str, *, as_json: bool) -> int:
    if as_json:
        base.out_json({"sent": sent})
    else:
        base.out("\n".join(sent) or otherwise)
    return 0


async def run_adopt(where: Target, plan: Plan, *, as_json: bool) -> int:
    """Take over what was applied under other ids, and what the server has by other hands."""
    adopted = await adopt(where, plan)
    if as_json:
        rows = [{"from": one.former.id if one.former is not None else None, "to": one.taken.id} for one in adopted]
        base.out_json({"adopted": rows})
    else:
        told = [f"{one.taken.id}: {_adopted(one)}" for one in adopted]
        base.out("\n".join(told) or "nothing of the plan is on the server without being known")
    return 0


def _adopted(one: Adopted) -> str:
    if one.former is None:
        same = f"{one.taken.name} of the server is the same"
        return same if one.taken.server_text else "executed by others, as the server has what comes after it"
    return "recorded as executed" if one.former.id == one.taken.id else f"applied as {one.former.id}"


async def run_import(where: Target, plan: Plan, directory: Path, table: str, *, as_json: bool) -> int:
    """Record what ksql-migrations applied. Exit code 3 if it did not apply all files to their ends."""
    imported = await import_state(where, plan, directory, table)
    if as_json:
        left = [asdict(version) for version in imported.left]
        base.out_json({"imported": [report.entry_data(entry) for entry in imported.entries], "left": left})
        return 3 if left else 0
    for entry in imported.entries:
        base.out(f"{entry.id}: applied by ksql-migrations at {base.utc(entry.applied_at)}")
    for version in imported.left:
        why = f"{version.state} there{f' ({version.error})' if version.error else ''}" if version.state else "not applied there"
        then = ": a part of it may have been executed; `migrate adopt` takes over what the server has" if version.state else ""
        base.out(f"{version.group}: {why}{then}")
    base.say(f"{len(imported.entries)} statements recorded, {len(imported.left)} files left")
    return 3 if imported.left else 0
