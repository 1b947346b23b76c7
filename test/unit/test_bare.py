"""The commands that `make test-bare` runs, and its check of the requirements."""

import re
import shutil
import subprocess
from pathlib import Path

from readme import README, ROOT


def test_the_readme_lists_the_commands_run_on_a_bare_machine() -> None:
    assert re.findall(r"^\$ (.*)", README, re.MULTILINE) == ["make run", "make test"]


def test_without_debootstrap_the_requirements_are_printed(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "id", "realpath"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    script = ROOT / "test" / "bare.sh"
    for arguments in ([], ["--check"]):
        done = subprocess.run(
            [script, *arguments], env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "root, debootstrap, and the right to mount" in done.stderr
