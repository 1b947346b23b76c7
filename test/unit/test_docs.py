"""The README names the inputs and outputs that the applet has, and no others."""

import json
import re

import pytest

from readme import ROOT, blocks, section


@pytest.mark.parametrize(("title", "spec"), [("Inputs", "inputSpec"), ("Outputs", "outputSpec")])
def test_the_tables_list_the_fields_of_dxapp_json(title: str, spec: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)
    fields = json.loads((ROOT / "dxapp.json").read_text())[spec]
    assert listed == [field["name"] for field in fields]


def test_the_commands_give_inputs_that_exist() -> None:
    commands = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    runs = [command for command in commands if re.search(r"dx run (app-)?samtools_count", command)]
    given = set(re.findall(r"-i *'?(\w+)=", "\n".join(runs)))
    fields = json.loads((ROOT / "dxapp.json").read_text())["inputSpec"]
    assert given == {field["name"] for field in fields}
