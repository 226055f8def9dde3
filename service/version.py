"""The version of the service, as its documents give it."""

VERSION = "0.1.0"
