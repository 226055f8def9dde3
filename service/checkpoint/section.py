"""What the sections of a manifest have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a manifest: unknown fields and coercions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
