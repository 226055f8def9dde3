"""The checkpoint format, read and written: the contract between training and the service.

This package imports nothing else of the service, because training reads it too.
"""

from service.checkpoint.files import (
    MANIFEST,
    MANIFEST_HASH,
    MAX_ARRAYS_BYTES,
    PREVIEW,
    Checkpoint,
    CheckpointError,
    Unreadable,
    identity,
    next_version,
    read,
    read_manifest,
    restore,
    sha256,
    versions,
    write,
)

__all__ = [
    "MANIFEST",
    "MANIFEST_HASH",
    "MAX_ARRAYS_BYTES",
    "PREVIEW",
    "Checkpoint",
    "CheckpointError",
    "Unreadable",
    "identity",
    "next_version",
    "read",
    "read_manifest",
    "restore",
    "sha256",
    "versions",
    "write",
]
