"""The service under load, side by side with other model servers on the same work."""
