"""Which verb may stand where and what attributes it has, read off the source of the provider's own library.

`python -m adapters.phone.simulator.introspect > adapters/phone/simulator/grammar.json` after an update of the library;
a test fails when the file and the installed library disagree.
"""

import ast
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

__all__ = ["introspect"]

_SPECIAL = {"from_": "from", "xml_lang": "xml:lang", "interpret_as": "interpret-as", "for_": "for"}
_CONTENT = {"message", "words", "self", "number", "url", "name", "body", "task", "queue_name", "sid"}
"""Parameters that become the text of an element (or nothing), not an attribute."""


def introspect() -> dict[str, dict[str, list[str]]]:
    """Element name -> its attributes and the elements that it may contain. Raises ImportError without the library."""
    spec = find_spec("twilio.twiml.voice_response")
    if spec is None or spec.origin is None:
        raise ImportError("twilio.twiml.voice_response is not installed")
    module = ast.parse(Path(spec.origin).read_text("utf-8"))
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    names = {name: element for name, node in classes.items() if (element := _element_name(node))}
    attributes: dict[str, set[str]] = {element: set() for element in names.values()}
    children: dict[str, set[str]] = {element: set() for element in names.values()}
    for parent, element in names.items():
        for method, child in _nestings(classes[parent]):
            if child not in names:
                continue
            children[element].add(names[child])
            attributes[names[child]].update(
                _attribute(argument.arg) for argument in method.args.args if argument.arg not in _CONTENT
            )
    return {
        element: {"attributes": sorted(attributes[element]), "children": sorted(children[element])}
        for element in sorted(attributes)
    }


def _element_name(node: ast.ClassDef) -> str:
    """What `self.name = "..."` says."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant):
            target = part.targets[0]
            if isinstance(target, ast.Attribute) and target.attr == "name":
                return str(part.value.value)
    return ""


def _nestings(node: ast.ClassDef) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Methods that do `self.nest(Child(...))`, with the child's class."""
    for method in node.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        for part in ast.walk(method):
            if (
                isinstance(part, ast.Call)
                and isinstance(part.func, ast.Attribute)
                and part.func.attr == "nest"
                and isinstance(part.args[0], ast.Call)
                and isinstance(part.args[0].func, ast.Name)
            ):
                yield method, part.args[0].func.id


def _attribute(parameter: str) -> str:
    if parameter in _SPECIAL:
        return _SPECIAL[parameter]
    first, *rest = parameter.split("_")
    return first + "".join(word.capitalize() for word in rest)


if __name__ == "__main__":
    json.dump(introspect(), sys.stdout, indent=1)
    sys.stdout.write("\n")
