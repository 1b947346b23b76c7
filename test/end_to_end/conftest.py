"""Fixtures that build and run the applets with the real `dx`.

By default the tests run on a local platform. With `--dnanexus` they run in the currently selected
project, in a new folder that is removed at the end.
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
    """The local platform; tests that use it are skipped on the real platform."""
    if request.config.getoption("--dnanexus"):
        pytest.skip("needs a local platform")
    with LocalPlatform() as platform:
        yield platform


@pytest.fixture
def clear_faults(platform: LocalPlatform) -> Iterator[None]:
    """Removes injected faults after the test, so that they do not affect the next one."""
    yield
    platform.faults.clear()


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    """A small BAM with its index."""
    return make_bam(tmp_path / "sample.bam", {"chr1": 3, "chr2": 0, "chrM": 2}, unplaced=1)


@pytest.fixture(scope="session")
def dx(request: pytest.FixtureRequest) -> Iterator[Dx]:
    """The real `dx`, with a new folder in the project."""
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
    """A copy of the source of the applet, in a folder that has the applet's name."""
    return copy_of_applet(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def applet(dx: Dx, source: Path) -> Applet:
    """The applet, built from a copy of its source."""
    return build_applet(dx, source)


@pytest.fixture(scope="session")
def cohort_applet(dx: Dx, tmp_path_factory: pytest.TempPathFactory) -> CohortApplet:
    """The applet samtools_count_cohort, built from a copy of its source."""
    return build_cohort_applet(dx, copy_of_cohort_applet(tmp_path_factory.mktemp("cohort")))
