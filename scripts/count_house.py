"""How large serab_lib is and how its imports lie: printed, held to a budget, and drawn for CONTRIBUTING.md.

    python scripts/count_house.py           # counts; exit code 1 above the budget
    python scripts/count_house.py --draw    # the picture of the rooms, and the imports between them

Code is what is no blank line, comment or docstring. A room is a module or package directly below serab_lib; a floor
is one step in the longest chain of imports between rooms. Imports inside functions count, those for types do not.
"""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
BUDGET = {"code": 8_000, "lines": 12_000, "files": 75, "rooms": 12, "floors": 7}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def count_code(text: str) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    strings = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            strings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if number not in strings and line.strip() and line.strip()[0] != "#")


def read_imports() -> dict[str, set[str]]:
    """What each room imports from."""
    graph = grimp.build_graph("serab_lib", exclude_type_checking_imports=True, cache_dir=None)
    rooms: dict[str, set[str]] = {name.split(".")[1]: set() for name in graph.modules if "." in name}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = [name.split(".")[1] if "." in name else "" for name in (importer, imported)]
            if all(ends) and ends[0] != ends[1]:
                rooms[ends[0]].add(ends[1])
    return rooms


def find_floors(rooms: dict[str, set[str]]) -> dict[str, int]:
    """Each room's floor, one above the highest that it imports from.

    Raises
    ------
    graphlib.CycleError
        If rooms import each other in a circle.
    """
    floors: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        floors[room] = 1 + max((floors[other] for other in rooms[room]), default=0)
    return floors


def draw(rooms: dict[str, set[str]], floors: dict[str, int]) -> str:
    """The rooms, highest floor first, and what each imports from."""
    lines = ["floor  room         imports from"]
    for room in sorted(rooms, key=lambda room: (-floors[room], room)):
        below = ", ".join(sorted(rooms[room], key=lambda other: (-floors[other], other)))
        lines.append(f"{floors[room]:<7}{room:<13}{below}".rstrip())
    return "\n".join(lines)


def main(*arguments: str) -> int:
    """Print the counts or the picture; 1 where the budget is exceeded."""
    try:
        rooms = read_imports()
        floors = find_floors(rooms)
    except CycleError as error:
        print(f"rooms import each other in a circle: {' -> '.join(error.args[1])}")
        return 1
    if "--draw" in arguments:
        print(draw(rooms, floors))
        return 0
    files = {path: path.read_text(encoding="utf-8") for path in (ROOT / "serab_lib").rglob("*.py")}
    counts = {
        "code": sum(map(count_code, files.values())),
        "lines": sum(len(text.splitlines()) for text in files.values()),
        "files": len(files),
        "rooms": len(rooms),
        "floors": max(floors.values()),
    }
    print(", ".join(f"{name} {count:,} of {BUDGET[name]:,}" for name, count in counts.items()))
    return int(any(count > BUDGET[name] for name, count in counts.items()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
