"""The commands of the README run as they stand there, and give what it shows."""

import re
import subprocess
import sys
from pathlib import Path

from dx_client import Dx
from readme import ROOT, blocks


def test_the_commands_work_one_after_the_other(dx: Dx, tmp_path: Path) -> None:
    """All in one folder of the project, which stands for its root, with the files they name."""
    home = f"{dx.folder}/readme"
    dx = Dx({**dx.environment, "DX_CLI_WD": home}, home)
    bam = tmp_path / "sample.bam"
    subprocess.run([sys.executable, ROOT / "test" / "example.py", bam], check=True)
    bam_id, bai_id = dx.upload(bam), dx.upload(Path(f"{bam}.bai"))
    (inputs,) = blocks("json")
    (tmp_path / "inputs.json").write_text(
        inputs.replace("file-xxxx", bam_id).replace("file-yyyy", bai_id)
    )
    commands = [
        re.sub(r"(?<= |=)/(?=sample\.bam|counts|uploads)", f"{home}/", script)
        for script in blocks("sh")
    ]
    assert commands[0] == "dx build -f .\n"

    for number, script in enumerate(commands):
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=ROOT if number == 0 else tmp_path,
            env=dict(dx.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"

    shown = next(text for text in blocks("text") if text.startswith("Region"))
    assert (tmp_path / "sample_count.txt").read_text() == shown.rstrip("\n")
