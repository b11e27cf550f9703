"""How `kanal deliveries` shows on a terminal what the API answers as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

STYLES: Final = {"delivered": "green", "held": "yellow", "dead": "red"}
PIPED_WIDTH: Final = 240
"""Columns where no terminal says how many it has: lines in a file are better long than broken."""


def show(answer: Mapping[str, Any]) -> None:
    """An answer of `Dispatch`, whichever."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    if "total_count" in answer:
        rows = [next(iter(each.values())) for key, each in answer.items() if key != "total_count"]
        replayed = any("replay" in each for key, each in answer.items() if key != "total_count")
        console.print(_replays(rows) if replayed else _deliveries(rows))
        console.print(f"{len(rows)} of {answer['total_count']}")
    elif "replay" in answer:
        replay = answer["replay"]
        if replay["state"] == "dry_run":
            console.print(f"{replay['total']} deliveries would be sent again.")
        else:
            console.print(_replays([replay]))
    else:
        delivery = answer["delivery"]
        console.print(_deliveries([delivery]))
        console.print(_attempts(delivery["attempt_log"]))


def _deliveries(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table(
        "delivery", "kind", "state", "channel", "case", "tries", "next", "what came of it"
    )
    for row in rows:
        last = row["last_outcome"] or {}
        table.add_row(
            row["delivery_id"],
            row["kind"],
            _styled(row["state"]),
            f"webhook {row['webhook_id']}" if row["webhook_id"] else f"cch{row['channel_id']}",
            f"{row['case_id']} #{row['sequence']}",
            str(row["attempts"]),
            row["next_attempt_at"] or "",
            row["reason"] or last.get("sentence") or "",
        )
    return table


def _attempts(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("try", "at", "ms", "class", "HTTP", "address", "what came of it")
    for row in rows:
        table.add_row(
            str(row["number"]),
            row["started_at"],
            _text(row["milliseconds"]),
            row["class"] or "under way",
            _text(row["http_status"]),
            row["address"] or "",
            row["sentence"] or "",
        )
    return table


def _replays(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("replay", "state", "of", "ended as", "a minute", "queued", "waiting", "asked")
    for row in rows:
        table.add_row(
            str(row["replay_id"]),
            row["state"],
            _subject(row),
            row["ended_as"],
            str(row["per_minute"]),
            f"{row['queued']} of {row['total']}",
            str(row["waiting"]),
            f"{row['asked_at']} by {row['asked_by']}",
        )
    return table


def _subject(row: Mapping[str, Any]) -> str:
    if row["delivery_id"]:
        return str(row["delivery_id"])
    names = {"channel_id": "channel cch", "case_id": "case ", "message_id": "message "}
    parts = [f"{said}{row[name]}" for name, said in names.items() if row[name]]
    parts += [f"{name} {row[name]}" for name in ("since", "until") if row[name]]
    return ", ".join(parts)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _styled(state: str) -> str:
    style = STYLES.get(state)
    return f"[{style}]{state}[/]" if style else state


def _text(value: object) -> str:
    return "" if value is None else str(value)
