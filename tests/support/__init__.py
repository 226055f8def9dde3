"""What tests of several folders use: processes, clients, checkpoints and files to test with."""
