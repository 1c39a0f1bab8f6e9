"""The command line: `ner COMMAND`, a module for each command."""
