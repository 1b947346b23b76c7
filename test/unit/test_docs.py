"""The README names the inputs and outputs that the applet has, and no others."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("section", "spec"), [("Inputs", "inputSpec"), ("Output", "outputSpec")])
def test_the_tables_list_the_fields_of_dxapp_json(section: str, spec: str) -> None:
    readme = (ROOT / "README.md").read_text()
    _, found, rest = readme.partition(f"\n## {section}\n")
    assert found
    listed = re.findall(r"^\| `(\w+)` \|", rest.partition("\n## ")[0], re.MULTILINE)

    fields = json.loads((ROOT / "dxapp.json").read_text())[spec]
    assert listed == [field["name"] for field in fields]


def test_the_commands_give_inputs_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    given = set(re.findall(r"-i ?(\w+)=", readme))
    fields = json.loads((ROOT / "dxapp.json").read_text())["inputSpec"]
    assert given == {field["name"] for field in fields}
