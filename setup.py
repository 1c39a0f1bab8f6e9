"""Puts train.py and evaluate.py into the wheel, for `ner train` and `ner evaluate`; the rest is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithScripts(build_py):
    """build_py, and the two scripts as ner/scripts/."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "ner" / "scripts"
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("train.py", "evaluate.py"):
                shutil.copy(name, folder / name)


setup(cmdclass={"build_py": BuildWithScripts})
