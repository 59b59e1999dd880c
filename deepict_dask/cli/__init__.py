"""The command line: words in, one stage call, an exit code; knows no arrays."""
