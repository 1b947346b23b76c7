"""The applet built and run by the real `dx`: on a local platform, or in a real project.

With `--dnanexus` the same tests run in the project that `dx` has selected, in a new folder which
is removed at the end.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import make_bam
from cohort import CohortApplet, build_cohort_applet, copy_of_cohort_applet
from dx_client import Applet, Dx, build_applet, copy_of_applet
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[LocalPlatform]:
    """The local platform, for tests of what nobody can ask of a real one."""
    if request.config.getoption("--dnanexus"):
        pytest.skip("needs a local platform")
    with LocalPlatform() as platform:
        yield platform


@pytest.fixture
def no_fault_is_left(platform: LocalPlatform) -> Iterator[None]:
    yield
    platform.faults.clear()


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    return make_bam(tmp_path / "sample.bam", {"chr1": 3, "chr2": 0, "chrM": 2}, unplaced=1)


@pytest.fixture(scope="session")
def dx(request: pytest.FixtureRequest) -> Iterator[Dx]:
    folder = f"/samtools_count_test_{secrets.token_hex(4)}"
    if request.config.getoption("--dnanexus"):
        environment = dict(os.environ)
    else:
        environment = client_environment(request.getfixturevalue("platform"), os.environ)
    dx = Dx(environment, folder)
    if dx("whoami").returncode != 0:
        pytest.exit("dx is not logged in: run 'dx login' and select a project.", 1)
    dx.ok("mkdir", "-p", folder)
    yield dx
    dx("rm", "-r", "-f", folder)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the applet's files, in a folder that has the applet's name."""
    return copy_of_applet(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def applet(dx: Dx, source: Path) -> Applet:
    """The applet, built from that copy."""
    return build_applet(dx, source)


@pytest.fixture(scope="session")
def cohort_applet(dx: Dx, tmp_path_factory: pytest.TempPathFactory) -> CohortApplet:
    """The applet for cohorts, built from a copy."""
    return build_cohort_applet(dx, copy_of_cohort_applet(tmp_path_factory.mktemp("cohort")))
