"""`dx` on files and folders."""

import dxpy
import pytest

from local_platform import LocalPlatform
from stand_in.bench import HANG_SECONDS, Bench, refused


def test_whoami_names_the_user(bench: Bench) -> None:
    assert bench.dx("whoami", "--id") == "user-local"


def test_pwd_is_the_folder_in_the_selected_project(bench: Bench) -> None:
    assert bench.dx("pwd") == f"local:{bench.folder}"


def test_find_projects_finds_the_one(bench: Bench) -> None:
    assert bench.dx("find", "projects", "--brief") == bench.project
    assert bench.dx("find", "projects", "--name", "other*", "--brief") == ""


def test_ls_lists_folders_then_files(bench: Bench) -> None:
    bench.file("b.txt")
    bench.file("a.txt")
    bench.dx("mkdir", "c")
    assert bench.dx("ls").split() == ["c/", "a.txt", "b.txt"]


def test_ls_l_tells_state_size_and_id(bench: Bench) -> None:
    closed, open_ = bench.file("a.txt", "12345"), bench.open_file("b.txt")
    lines = bench.dx("ls", "-l").splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["closed", "open"]
    assert "5 bytes" in lines[-2]
    assert lines[-2].endswith(f"a.txt ({closed})")
    assert lines[-1].endswith(f"b.txt ({open_})")


def test_ls_of_what_is_not_there_fails(bench: Bench) -> None:
    assert "could not be found" in bench.dx("ls", "nowhere/", status=3)


def test_mkdir_makes_parents_only_when_told(bench: Bench) -> None:
    assert "could not be found" in bench.dx("mkdir", "a/b", status=3)
    bench.dx("mkdir", "-p", "a/b")
    assert bench.dx("ls", "a") == "b/"


def test_mkdir_does_not_take_an_existing_folder(bench: Bench) -> None:
    bench.dx("mkdir", "a")
    assert "exists, code 422" in bench.dx("mkdir", "a", status=3)
    bench.dx("mkdir", "-p", "a")


def test_what_is_uploaded_is_downloaded_and_printed_unchanged(bench: Bench) -> None:
    content = bytes(range(256)) * 100
    source = bench.local_file("data.bin", content)
    bench.upload(source)
    bench.dx("download", "data.bin", "-o", "back.bin", "--no-progress")
    assert (bench.local / "back.bin").read_bytes() == content
    bench.upload(bench.local_file("text.txt", "two\nlines\n"))
    assert bench.dx("cat", "text.txt") == "two\nlines"


def test_upload_puts_a_file_where_path_says(bench: Bench) -> None:
    source = bench.local_file("data.txt", "x")
    bench.upload(source, "--path", "new/folder/other.txt", "-p")
    assert bench.dx("ls", "new/folder") == "other.txt"


@pytest.mark.parametrize("name", ["it's two.txt", "naïve-Ω.txt", "-dash[1].txt", "100%&+#.txt"])
def test_unusual_names_survive_upload_and_download(bench: Bench, name: str) -> None:
    source = bench.local_file(name, name)
    file_id = bench.upload(source)
    assert bench.describe(file_id)["name"] == name
    bench.dx("download", file_id, "-o", "back", "--no-progress")
    assert (bench.local / "back").read_text() == name


def test_a_star_in_a_name_is_found_when_escaped(bench: Bench) -> None:
    star, _ = bench.file("a*.txt"), bench.file("ab.txt")
    assert bench.dx("find", "data", "--name", r"a\*.txt", "--brief", "--path", bench.folder) == (
        f"{bench.project}:{star}"
    )


def test_an_empty_file_is_uploaded_and_downloaded(bench: Bench) -> None:
    file_id = bench.upload(bench.local_file("empty"))
    assert bench.describe(file_id)["size"] == 0
    bench.dx("download", file_id, "-o", "back", "--no-progress")
    assert (bench.local / "back").read_bytes() == b""


def test_describe_tells_what_is_known_of_a_file(bench: Bench) -> None:
    source = bench.local_file("a.txt", "12345")
    file_id = bench.upload(source, "--tag", "t", "--property", "k=v")
    described = bench.dx_json("describe", "a.txt")
    expected = {
        "id": file_id,
        "class": "file",
        "project": bench.project,
        "folder": bench.folder,
        "name": "a.txt",
        "state": "closed",
        "size": 5,
        "tags": ["t"],
        "properties": {"k": "v"},
        "createdBy": {"user": "user-local"},
    }
    assert {key: described[key] for key in expected} == expected
    assert file_id in bench.dx("describe", file_id)


def test_rm_removes_files_for_good(bench: Bench) -> None:
    gone, kept = bench.file("gone.txt"), bench.file("kept.txt")
    bench.dx("rm", "gone.txt")
    assert bench.dx("ls") == "kept.txt"
    with refused("ResourceNotFound", 404, gone):
        bench.describe(gone)
    assert not (bench.platform.store.root / gone).exists()
    assert (bench.platform.store.root / kept).exists()


def test_rm_takes_a_folder_with_all_in_it_only_with_r(bench: Bench) -> None:
    bench.dx("mkdir", "-p", "a/b")
    inside = bench.file("inside.txt")
    bench.dx("mv", "inside.txt", "a/b")
    bench.dx("rm", "a", status=3)
    assert bench.dx("ls") == "a/"
    bench.dx("rm", "-r", "a")
    assert bench.dx("ls") == ""
    with refused("ResourceNotFound", 404):
        bench.describe(inside)


def test_a_folder_that_is_not_empty_is_not_removed(bench: Bench) -> None:
    bench.file()
    with refused("InvalidState", 422, "not empty"):
        dxpy.api.project_remove_folder(bench.project, {"folder": bench.folder})


def test_mv_renames_and_moves(bench: Bench) -> None:
    file_id = bench.file("old.txt")
    bench.dx("mkdir", "a")
    bench.dx("mv", "old.txt", "new.txt")
    assert bench.describe(file_id)["name"] == "new.txt"
    bench.dx("mv", "new.txt", "a")
    assert bench.describe(file_id)["folder"] == f"{bench.folder}/a"


def test_mv_takes_a_folder_with_what_is_in_it(bench: Bench) -> None:
    file_id = bench.file("x.txt")
    bench.dx("mkdir", "-p", "a/b")
    bench.dx("mkdir", "c")
    bench.dx("mv", "x.txt", "a/b")
    bench.dx("mv", "a", "c")
    assert bench.describe(file_id)["folder"] == f"{bench.folder}/c/a/b"
    bench.dx("mv", "c", "renamed")
    assert bench.describe(file_id)["folder"] == f"{bench.folder}/renamed/a/b"
    assert bench.dx("ls") == "renamed/"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], {"a.txt", "b.txt", "c.bam", "probe"}),
        (["--name", "*.txt"], {"a.txt", "b.txt"}),
        (["--class", "applet"], {"probe"}),
        (["--class", "file", "--state", "open"], {"c.bam"}),
        (["--tag", "red"], {"a.txt", "b.txt"}),
        (["--tag", "red", "--tag", "blue"], {"b.txt"}),
        (["--property", "sample=7"], {"a.txt"}),
        (["--property", "sample"], {"a.txt", "b.txt"}),
        (["--norecurse"], {"a.txt", "c.bam", "probe"}),
        (["--created-before=-1d"], set()),
        (["--mod-after=-1d", "--name", "a*"], {"a.txt"}),
    ],
)
def test_find_data_finds_what_fits_every_filter(
    searched: Bench, filters: list[str], found: set[str]
) -> None:
    results = searched.dx_json("find", "data", "--path", searched.folder, *filters)
    assert {result["describe"]["name"] for result in results} == found


@pytest.fixture(scope="module")
def searched(
    platform: LocalPlatform, _dxpy: None, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """A folder to search in; no test changes it."""
    bench = Bench(platform, "/searched", tmp_path_factory.mktemp("searched"))
    below = "/searched/below"
    dxpy.api.project_new_folder(bench.project, {"folder": below, "parents": True})
    a, b = bench.file("a.txt"), bench.file("b.txt")
    bench.open_file("c.bam")
    bench.applet()
    dxpy.api.file_add_tags(a, {"project": bench.project, "tags": ["red"]})
    dxpy.api.file_add_tags(b, {"project": bench.project, "tags": ["red", "blue"]})
    for file_id, sample in ((a, "7"), (b, "8")):
        dxpy.api.file_set_properties(
            file_id, {"project": bench.project, "properties": {"sample": sample}}
        )
    dxpy.api.project_move(bench.project, {"objects": [b], "destination": below})
    return bench


def test_a_search_of_several_pages_finds_everything_once(bench: Bench) -> None:
    ids = {bench.open_file(f"{number}") for number in range(5)}
    found = list(
        dxpy.find_data_objects(project=bench.project, folder=bench.folder, first_page_size=2)
    )
    assert len(found) == 5
    assert {result["id"] for result in found} == ids


@pytest.mark.usefixtures("slow_closing")
def test_a_file_takes_its_time_to_close(bench: Bench) -> None:
    file = dxpy.upload_string("text", folder=bench.folder, project=bench.project)
    assert file.describe()["state"] == "closing"
    file.wait_on_close(HANG_SECONDS)
    assert file.describe()["state"] == "closed"


def test_wait_is_content_with_a_closed_file_and_not_with_an_open_one(bench: Bench) -> None:
    bench.dx("wait", bench.file())
    bench.dx("wait", bench.open_file(), status=3)


def test_tags_and_properties_of_a_file_come_and_go(bench: Bench) -> None:
    file_id = bench.file("x.txt")
    bench.dx("tag", "x.txt", "a", "b")
    bench.dx("tag", "x.txt", "b")
    bench.dx("untag", "x.txt", "a")
    bench.dx("set_properties", "x.txt", "k=v", "l=w")
    bench.dx("unset_properties", "x.txt", "l")
    described = bench.dx_json("describe", file_id)
    assert (described["tags"], described["properties"]) == (["b"], {"k": "v"})


def test_tags_and_properties_of_a_job_come_and_go(bench: Bench) -> None:
    job_id = bench.run(bench.applet())["id"]
    bench.dx("tag", job_id, "a", "b")
    bench.dx("untag", job_id, "a")
    bench.dx("set_properties", job_id, "k=v", "l=w")
    bench.dx("unset_properties", job_id, "l")
    described = bench.dx_json("describe", job_id)
    assert (described["tags"], described["properties"]) == (["b"], {"k": "v"})


def test_details_are_given_back(bench: Bench) -> None:
    file = dxpy.new_dxfile(folder=bench.folder, project=bench.project, details={"a": [1]})
    assert file.get_details() == {"a": [1]}
