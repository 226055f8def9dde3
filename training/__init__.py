"""Offline training: data -> recipe -> trainer -> checkpoint."""
