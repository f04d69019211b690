import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent_cases import listener

from skylane_agent.config_dir import ConfigDir, is_listener_name
from skylane_agent.config_files import listener_file
from skylane_agent.errors import ConfigDirError

BASE = {"version": 1, "generation": "0" * 16}


def web(generation="1" * 16, backends=1):
    return listener_file(listener("web", generation, backends=backends))


@pytest.fixture
def config_dir(tmp_path):
    config_dir = ConfigDir(tmp_path / "config")
    config_dir.prepare()
    return config_dir


def generations(config_dir):
    return {name: one.generation for name, one in config_dir.listeners().items()}


def files_in(config_dir):
    return sorted(
        str(file.relative_to(config_dir.path)) for file in config_dir.path.rglob("*") if file.is_file()
    )


def test_what_is_written_is_there_and_nothing_else(config_dir):
    assert config_dir.write_base(BASE) is None
    assert config_dir.write_listeners([web()]) == {}
    assert files_in(config_dir) == ["base.json", "listeners/web.json"]
    assert json.loads((config_dir.path / "listeners/web.json").read_bytes()) == web()
    assert generations(config_dir) == {"web": "1" * 16}


def test_equal_content_is_not_written_again(config_dir):
    config_dir.write_listeners([web()])
    before = (config_dir.path / "listeners/web.json").stat().st_ino
    config_dir.write_listeners([web()])
    assert (config_dir.path / "listeners/web.json").stat().st_ino == before
    config_dir.write_listeners([web("2" * 16)])
    assert generations(config_dir) == {"web": "2" * 16}


def test_removal_is_repeatable(config_dir):
    config_dir.write_listeners([web()])
    assert config_dir.remove_listeners(["web"]) == {}
    assert config_dir.remove_listeners(["web"]) == {}
    assert generations(config_dir) == {}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../base", "a/b", "Web", "-web", "web-", "a" * 64, "web\n", "wéb"]
)
def test_a_name_that_is_no_dns_label_never_becomes_a_path(config_dir, name):
    bad = web() | {"name": name}
    assert not is_listener_name(name)
    assert "DNS label" in config_dir.write_listeners([bad, web()])[name]
    assert "DNS label" in config_dir.remove_listeners([name])[name]
    assert files_in(config_dir) == ["listeners/web.json"]


def test_a_file_that_cannot_be_read_has_an_empty_generation(config_dir):
    for name, content in {"cut": '{"generation": "11', "list": "[]", "number": '{"generation": 1}'}.items():
        (config_dir.path / f"listeners/{name}.json").write_text(content)
    assert generations(config_dir) == {"cut": "", "list": "", "number": ""}


def test_left_overs_of_a_killed_writer_are_removed(config_dir):
    (config_dir.path / ".base.json.tmp").write_text("{")
    (config_dir.path / "listeners/.web.json.tmp").write_text("{")
    assert generations(config_dir) == {}
    config_dir.prepare()
    assert files_in(config_dir) == []


def test_a_path_that_cannot_be_a_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigDirError, match=r"file/config.*Not a directory"):
        ConfigDir(tmp_path / "file/config").prepare()


@pytest.fixture
def small_file_system(tmp_path):
    """A file system of 64 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "skylane-test", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk_fails_one_listener_and_keeps_what_was_there(small_file_system):
    config_dir = ConfigDir(small_file_system / "config")
    config_dir.prepare()
    config_dir.write_listeners([web()])
    failures = config_dir.write_listeners([web("2" * 16, backends=2000), web("3" * 16) | {"name": "other"}])
    assert set(failures) == {"web"}
    assert "No space left on device" in failures["web"]
    assert generations(config_dir) == {"web": "1" * 16, "other": "3" * 16}
    assert files_in(config_dir) == ["listeners/other.json", "listeners/web.json"]


def test_a_read_only_disk_fails_every_listener_and_keeps_what_was_there(small_file_system):
    config_dir = ConfigDir(small_file_system / "config")
    config_dir.prepare()
    config_dir.write_listeners([web()])
    subprocess.run(["mount", "-o", "remount,ro", small_file_system], check=True)
    config_dir.prepare()
    failures = config_dir.write_listeners([web("2" * 16)]) | config_dir.remove_listeners(["web"])
    assert "Read-only file system" in failures["web"]
    assert "Read-only file system" in config_dir.write_base(BASE)
    assert generations(config_dir) == {"web": "1" * 16}


# Writes two listeners over and over, of a size that takes several system calls, and says when it has begun.
WRITER = """
import sys
from pathlib import Path
from skylane_agent.config_dir import ConfigDir
config_dir = ConfigDir(Path(sys.argv[1]))
config_dir.prepare()
names = ("even", "odd")
print("started", flush=True)
for round in range(1_000_000):
    generation = f"{round:016x}"
    config_dir.write_listeners(
        {"name": name, "generation": generation, "backends": [generation] * 20_000} for name in names
    )
    if round % 3 == 2:
        config_dir.remove_listeners(["odd"])
"""


def killed_writer(path: Path, after_s: float) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == b"started\n"
            with pytest.raises(subprocess.TimeoutExpired):  # the random moment is the point
                writer.wait(timeout=after_s)
        finally:
            os.kill(writer.pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", range(8))
def test_a_writer_killed_at_any_moment_leaves_only_whole_files(tmp_path, seed):
    path = tmp_path / "config"
    chance = random.Random(seed)  # noqa: S311
    for _ in range(2):
        killed_writer(path, chance.uniform(0.005, 0.15))
        for file in (path / "listeners").glob("[!.]*"):
            content = json.loads(file.read_bytes())
            assert content["name"] == file.stem
            assert set(content["backends"]) == {content["generation"]}
            assert len(content["backends"]) == 20_000
