"""`python -m ner COMMAND`, and so `accelerate launch -m ner tag ...`."""

from ner.cli.main import main

if __name__ == "__main__":
    main()
