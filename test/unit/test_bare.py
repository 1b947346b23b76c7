"""What `make test-bare` does before it makes a bare machine."""

import re
import shutil
import subprocess
from pathlib import Path

from readme import README, ROOT


def test_the_readme_has_the_commands_that_a_bare_machine_runs() -> None:
    assert re.findall(r"^\$ (.*)", README, re.MULTILINE) == ["make run", "make test"]


def test_a_machine_without_debootstrap_is_told_what_it_lacks(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "id", "realpath"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    script = ROOT / "test" / "bare.sh"
    for arguments in ([], ["--check"]):
        ended = subprocess.run(
            [script, *arguments], env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )
        assert ended.returncode == 1
        assert "root, debootstrap, and the right to mount" in ended.stderr
