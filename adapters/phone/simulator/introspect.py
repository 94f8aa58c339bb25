"""Which verb may stand where and what attributes it has, read off the provider's own library.

`python -m adapters.phone.simulator.introspect > adapters/phone/simulator/grammar.json` after an update of the library;
a test fails when the file and the installed library disagree about a verb that this channel uses.
"""

import inspect
import json
import re
import sys
from typing import Any

__all__ = ["introspect"]

_NEST = re.compile(r"self\.nest\(\s*(\w+)\(")
_NAME = re.compile(r'self\.name = "([^"]+)"')
_SPECIAL = {"from_": "from", "xml_lang": "xml:lang", "interpret_as": "interpret-as", "for_": "for"}
_CONTENT = {"message", "words", "self", "kwargs", "number", "url", "name", "body", "task", "queue_name", "sid"}
"""Parameters that become the text of an element (or nothing), not an attribute."""


def introspect() -> dict[str, dict[str, list[str]]]:
    """Element name -> its attributes and the elements that it may contain."""
    from twilio.twiml import voice_response

    classes: dict[str, Any] = {
        name: value
        for name, value in vars(voice_response).items()
        if inspect.isclass(value) and name != "TwiML" and _NAME.search(inspect.getsource(value))
    }
    names = {name: _named(value) for name, value in classes.items()}
    grammar: dict[str, dict[str, set[str]]] = {
        name: {"attributes": set(), "children": set()} for name in names.values()
    }
    for parent, value in classes.items():
        for _, method in inspect.getmembers(value, inspect.isfunction):
            nested = _NEST.search(inspect.getsource(method))
            if nested is None or nested[1] not in names:
                continue
            child = names[nested[1]]
            grammar[names[parent]]["children"].add(child)
            parameters = inspect.signature(method).parameters
            grammar[child]["attributes"].update(_attribute(name) for name in parameters if name not in _CONTENT)
    return {
        name: {"attributes": sorted(rules["attributes"]), "children": sorted(rules["children"])}
        for name, rules in sorted(grammar.items())
    }


def _named(value: Any) -> str:
    found = _NAME.search(inspect.getsource(value))
    return found[1] if found else ""


def _attribute(parameter: str) -> str:
    if parameter in _SPECIAL:
        return _SPECIAL[parameter]
    first, *rest = parameter.split("_")
    return first + "".join(word.capitalize() for word in rest)


if __name__ == "__main__":
    json.dump(introspect(), sys.stdout, indent=1)
    sys.stdout.write("\n")
