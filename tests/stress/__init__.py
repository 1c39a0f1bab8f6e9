"""Long checks, which are not part of the suite: `make torture`, and a command each."""
