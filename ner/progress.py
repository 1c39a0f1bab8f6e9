"""Progress bars that show names from data and files as they are, and let no terminal obey them."""

from tqdm import tqdm as plain

from ner.markdown import one_line


class tqdm(plain):  # noqa: N801  # it stands where that one would
    """tqdm, but for its description and the like."""

    def __str__(self) -> str:
        return one_line(super().__str__())
