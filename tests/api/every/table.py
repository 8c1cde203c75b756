"""All rows: importing their modules fills the table."""

from importlib import import_module
from pathlib import Path

from tests.api.every.calling import ROWS

for module in sorted(Path(__file__).parent.glob("*.py")):
    import_module(f"tests.api.every.{module.stem}")

__all__ = ["ROWS"]
