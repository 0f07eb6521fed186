"""What the tests of whole runs share: the small sample on disk, and one finished run of the flagship on it.

Everything here is made once a session and only read; a test that changes a work folder copies it first.
"""

import pytest

import pipeline
from pipeline.sources.sample import write_sample
from tests.running import Finished, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """`sample://small` on disk."""
    folder = tmp_path_factory.mktemp("sample") / "small"
    write_sample(folder, small=True)
    return World.at(folder)


@pytest.fixture(scope="session")
def full_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The full sample on disk; for slow tests."""
    folder = tmp_path_factory.mktemp("sample") / "full"
    write_sample(folder)
    return World.at(folder)


@pytest.fixture(scope="session")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The flagship on the small sample, made in this process: what every other way of running it is compared with."""
    work = tmp_path_factory.mktemp("finished") / "work"
    return Finished(work, pipeline.run(world.recipe(), work, here=True))


@pytest.fixture(scope="session")
def full_finished(full_world: World, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The flagship on the full sample, on two cores; for slow tests."""
    work = tmp_path_factory.mktemp("finished") / "work"
    return Finished(work, pipeline.run(full_world.recipe(), work, cpus=2))
