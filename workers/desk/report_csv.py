"""A report as CSV (RFC 4180, UTF-8), safe to open in a spreadsheet: no cell of it is ever taken for a formula."""

import csv
import io

import msgspec

from workers.desk.reports import Figures, Report

__all__ = ["as_csv", "safe_cell"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet begins a formula (OWASP, "CSV Injection"); names of operators are typed by people."""

TOTAL = "total"


def safe_cell(value: object) -> str:
    """A cell as text; what could be a formula gets an apostrophe before it. Nothing for None."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_csv(report: Report) -> str:
    """One line per row under a heading, and last the line of all together."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*report.by, *Figures.__struct_fields__])
    for row in report.rows:
        writer.writerow([safe_cell(cell) for cell in (*row.of.values(), *msgspec.structs.astuple(row.figures))])
    names = [TOTAL, *("" for _ in report.by[1:])] if report.by else []
    writer.writerow([*names, *map(safe_cell, msgspec.structs.astuple(report.total))])
    return out.getvalue()
