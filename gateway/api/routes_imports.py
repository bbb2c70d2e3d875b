"""``/api/v1/imports`` and ``/api/v1/export``: people in bulk."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.problems import Refusal
from gateway.api.routes_people import READERS, WRITERS
from gateway.api.routing import Answer, Call, Route
from gateway.domain.imports import (
    MOST_CSV_BYTES,
    MOST_LINES,
    ImportRecord,
    ImportState,
    LineResult,
    LineState,
)
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.worker import PHOTOS, STAFF, Imports, Upload
from gateway.services.imports.zip_layout import MOST_BYTES

_MOST_BYTES = MOST_BYTES + MOST_CSV_BYTES + 1_000_000
_MULTIPART, _CSV = "multipart/form-data", "text/csv"
_BAD_CSV = (
    *("not_csv", "csv_too_large", "csv_encoding", "csv_no_header", "csv_unknown_column", "csv_double_column"),
    *("csv_no_number", "csv_malformed", "csv_too_long", "csv_line_too_long", "csv_empty", "no_staff_file"),
)
_BAD_ZIP = (
    *("zip_damaged", "zip_too_large", "zip_too_many", "zip_in_parts", "zip64_lies", "zip_headers_differ"),
    *("zip_bomb", "zip_nested", "zip_overlap", "zip_gap", "zip_double_name", "zip_name_encoding"),
    *("zip_bad_name", "zip_absolute_name", "zip_traversal", "zip_encrypted", "zip_symlink"),
    *("zip_special_file", "zip_method", "zip_entry_too_large"),
)
PHOTOGRAPHS_SCOPE = "photographs:read"


class BeginQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to import."""

    dry_run: bool = False


class ImportsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    before: Annotated[str, Meta(max_length=36, description="Id of the last import already seen.")] | None = (
        None
    )


class LinesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines."""

    state: LineState | None = None
    after: Annotated[int, Meta(ge=0, le=MOST_LINES * 1000, description="Last line already seen.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes out."""

    photographs: bool = False


class ImportOut(msgspec.Struct, frozen=True, kw_only=True):
    """An import and how far it is."""

    id: str
    state: ImportState
    dry_run: bool
    total: int
    done: int
    counts: Mapping[str, int]
    notes: Sequence[str]
    code: str | None
    why: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None


class ImportsOut(msgspec.Struct, frozen=True, kw_only=True):
    """Imports, newest first."""

    items: Sequence[ImportOut]


class LineOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a line."""

    line: int
    number: str
    state: LineState
    code: str | None
    message: str | None


class LinesOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the report; ``next_after`` is None after the last line done so far."""

    items: Sequence[LineOut]
    next_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRoutes:
    """Imports and exports."""

    imports: Imports
    exporting: Exporting

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        one = "/api/v1/imports/{import_id}"
        reads: dict[str, Any] = {"tag": "imports", "roles": READERS, "scope": "people:read"}
        return (
            Route(
                method="POST",
                path="/api/v1/imports",
                handler=self.begin,
                summary="Import people from a CSV file, with photographs in a ZIP file",
                description=(
                    f"Up to {MOST_LINES} lines and {MOST_BYTES // 10**9} GB. Both files are checked at once; "
                    "then the import waits for its turn, line by line. With dry_run all checks are made and "
                    "nothing is written."
                ),
                tag="imports",
                roles=WRITERS,
                scope="people:write",
                query=BeginQuery,
                answer=ImportOut,
                status=202,
                errors=(
                    *_BAD_CSV,
                    *_BAD_ZIP,
                    "bad_upload",
                    "upload_running",
                    "too_many_imports",
                    "disk_full",
                ),
                upload=(_MULTIPART, _CSV),
                form={
                    STAFF: "The CSV file. It may stand as staff.csv in the ZIP file instead.",
                    PHOTOS: "A ZIP file: photographs named in the column photos, or called after the number.",
                },
                most_bytes=_MOST_BYTES,
                creates=True,
            ),
            Route(
                method="GET",
                path="/api/v1/imports",
                handler=self.list_imports,
                summary="Imports, newest first",
                query=ImportsQuery,
                answer=ImportsOut,
                errors=("no_such_import",),
                **reads,
            ),
            Route(
                method="GET",
                path=one,
                handler=self.read_import,
                summary="One import and how far it is",
                answer=ImportOut,
                errors=("no_such_import",),
                **reads,
            ),
            Route(
                method="GET",
                path=f"{one}/lines",
                handler=self.list_lines,
                summary="What became of each line",
                query=LinesQuery,
                answer=LinesOut,
                errors=("no_such_import",),
                **reads,
            ),
            Route(
                method="POST",
                path=f"{one}/cancel",
                handler=self.cancel,
                summary="Stop an import before its next line; what is done stays done",
                tag="imports",
                roles=WRITERS,
                scope="people:write",
                answer=ImportOut,
                errors=("no_such_import", "import_over"),
            ),
            Route(
                method="GET",
                path="/api/v1/export",
                handler=self.export,
                summary="Everybody as a ZIP file that an import takes in again",
                description=(
                    "staff.csv, and with photographs=true those that are kept: each is recorded as looked "
                    f"at, and a key needs the scope {PHOTOGRAPHS_SCOPE} as well."
                ),
                tag="imports",
                roles=WRITERS,
                scope="people:export",
                query=ExportQuery,
                produces="application/zip",
            ),
            Route(
                method="GET",
                path="/api/v1/export.csv",
                handler=self.export_lines,
                summary="Everybody as a CSV file that an import takes in again",
                tag="imports",
                roles=WRITERS,
                scope="people:export",
                produces=_CSV,
            ),
        )

    async def begin(self, call: Call) -> Answer:
        """Take the files in, sealed, and let the import wait for its turn."""
        async with self.imports.upload() as upload:
            if call.request.content_type == _CSV:
                await upload.put(STAFF, call.stream())
            else:
                await _take_parts(call, upload)
            record = await upload.register(call.actor, dry_run=call.query.dry_run)
        return Answer(
            body=import_out(record), status=202, headers={"Location": f"/api/v1/imports/{record.import_id}"}
        )

    async def list_imports(self, call: Call) -> ImportsOut:
        """Newest first."""
        asked: ImportsQuery = call.query
        return ImportsOut(items=[import_out(r) for r in await self.imports.recent(asked.limit, asked.before)])

    async def read_import(self, call: Call) -> ImportOut:
        """One import."""
        return import_out(await self.imports.get(call.path["import_id"]))

    async def list_lines(self, call: Call) -> LinesOut:
        """A page of the report."""
        asked: LinesQuery = call.query
        found = await self.imports.lines(call.path["import_id"], asked.after, asked.limit, asked.state)
        return LinesOut(
            items=[line_out(r) for r in found],
            next_after=found[-1].line if len(found) == asked.limit else None,
        )

    async def cancel(self, call: Call) -> ImportOut:
        """Stop it."""
        return import_out(await self.imports.cancel(call.actor, call.path["import_id"]))

    async def export(self, call: Call) -> Answer:
        """Everybody, as a ZIP."""
        asked: ExportQuery = call.query
        if asked.photographs and call.actor.scopes and PHOTOGRAPHS_SCOPE not in call.actor.scopes:
            raise Refusal(f"photographs need a key with the scope {PHOTOGRAPHS_SCOPE}", code="forbidden")
        parts = self.exporting.archive(call.actor, photographs=asked.photographs)
        return _file(parts, "application/zip", "people.zip")

    async def export_lines(self, call: Call) -> Answer:
        """Everybody, as CSV."""
        return _file(self.exporting.lines(call.actor), _CSV, "people.csv")


def import_out(record: ImportRecord) -> ImportOut:
    """An import as the API shows it."""
    return ImportOut(
        id=record.import_id,
        state=record.state,
        dry_run=record.dry_run,
        total=record.total,
        done=record.done,
        counts={state.value: record.counts.get(state, 0) for state in LineState},
        notes=record.notes,
        code=record.code,
        why=record.why,
        created_by=record.created_by,
        created_at=record.created_at,
        finished_at=record.finished_at,
    )


def line_out(result: LineResult) -> LineOut:
    """A line of the report as the API shows it."""
    return LineOut(
        line=result.line,
        number=result.number,
        state=result.state,
        code=result.code,
        message=result.message,
    )


async def _take_parts(call: Call, upload: Upload) -> None:
    """Both files, in any order. Raises Refusal for a part that is neither."""
    async for part in call.parts():
        if part.name not in {STAFF, PHOTOS}:
            raise Refusal(f"a part of the upload is neither {STAFF} nor {PHOTOS}")
        await upload.put(str(part.name), call.chunks(part))


def _file(parts: AsyncIterator[bytes], media_type: str, name: str) -> Answer:
    return Answer(
        body=parts,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
