"""`dx` on files and folders."""

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform_tests.client import HANG_SECONDS, Client, refused


def test_whoami_names_the_user(client: Client) -> None:
    assert client.dx("whoami", "--id") == "user-local"


def test_pwd_is_the_folder_in_the_selected_project(client: Client) -> None:
    assert client.dx("pwd") == f"local:{client.folder}"


def test_find_projects_finds_the_one(client: Client) -> None:
    assert client.dx("find", "projects", "--brief") == client.project
    assert client.dx("find", "projects", "--name", "other*", "--brief") == ""


def test_ls_lists_folders_then_files(client: Client) -> None:
    client.file("b.txt")
    client.file("a.txt")
    client.dx("mkdir", "c")
    assert client.dx("ls").split() == ["c/", "a.txt", "b.txt"]


def test_ls_l_tells_state_size_and_id(client: Client) -> None:
    closed, open_ = client.file("a.txt", "12345"), client.open_file("b.txt")
    lines = client.dx("ls", "-l").splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["closed", "open"]
    assert "5 bytes" in lines[-2]
    assert lines[-2].endswith(f"a.txt ({closed})")
    assert lines[-1].endswith(f"b.txt ({open_})")


def test_ls_of_what_is_not_there_fails(client: Client) -> None:
    assert "could not be found" in client.dx("ls", "nowhere/", status=3)


def test_mkdir_makes_parents_only_when_told(client: Client) -> None:
    assert "could not be found" in client.dx("mkdir", "a/b", status=3)
    client.dx("mkdir", "-p", "a/b")
    assert client.dx("ls", "a") == "b/"


def test_mkdir_does_not_take_an_existing_folder(client: Client) -> None:
    client.dx("mkdir", "a")
    assert "exists, code 422" in client.dx("mkdir", "a", status=3)
    client.dx("mkdir", "-p", "a")


def test_what_is_uploaded_is_downloaded_and_printed_unchanged(client: Client) -> None:
    content = bytes(range(256)) * 100
    source = client.local_file("data.bin", content)
    client.upload(source)
    client.dx("download", "data.bin", "-o", "back.bin", "--no-progress")
    assert (client.local / "back.bin").read_bytes() == content
    client.upload(client.local_file("text.txt", "two\nlines\n"))
    assert client.dx("cat", "text.txt") == "two\nlines"


def test_upload_puts_a_file_where_path_says(client: Client) -> None:
    source = client.local_file("data.txt", "x")
    client.upload(source, "--path", "new/folder/other.txt", "-p")
    assert client.dx("ls", "new/folder") == "other.txt"


@pytest.mark.parametrize("name", ["it's two.txt", "naïve-Ω.txt", "-dash[1].txt", "100%&+#.txt"])
def test_unusual_names_survive_upload_and_download(client: Client, name: str) -> None:
    source = client.local_file(name, name)
    file_id = client.upload(source)
    assert client.describe(file_id)["name"] == name
    client.dx("download", file_id, "-o", "back", "--no-progress")
    assert (client.local / "back").read_text() == name


def test_a_star_in_a_name_is_found_when_escaped(client: Client) -> None:
    star, _ = client.file("a*.txt"), client.file("ab.txt")
    assert client.dx("find", "data", "--name", r"a\*.txt", "--brief", "--path", client.folder) == (
        f"{client.project}:{star}"
    )


def test_an_empty_file_is_uploaded_and_downloaded(client: Client) -> None:
    file_id = client.upload(client.local_file("empty"))
    assert client.describe(file_id)["size"] == 0
    client.dx("download", file_id, "-o", "back", "--no-progress")
    assert (client.local / "back").read_bytes() == b""


def test_describe_tells_what_is_known_of_a_file(client: Client) -> None:
    source = client.local_file("a.txt", "12345")
    file_id = client.upload(source, "--tag", "t", "--property", "k=v")
    described = client.dx_json("describe", "a.txt")
    expected = {
        "id": file_id,
        "class": "file",
        "project": client.project,
        "folder": client.folder,
        "name": "a.txt",
        "state": "closed",
        "size": 5,
        "tags": ["t"],
        "properties": {"k": "v"},
        "createdBy": {"user": "user-local"},
    }
    assert {key: described[key] for key in expected} == expected
    assert file_id in client.dx("describe", file_id)


def test_rm_removes_files_for_good(client: Client) -> None:
    gone, kept = client.file("gone.txt"), client.file("kept.txt")
    client.dx("rm", "gone.txt")
    assert client.dx("ls") == "kept.txt"
    with refused("ResourceNotFound", 404, gone):
        client.describe(gone)
    assert not (client.platform.store.root / gone).exists()
    assert (client.platform.store.root / kept).exists()


def test_rm_takes_a_folder_with_all_in_it_only_with_r(client: Client) -> None:
    client.dx("mkdir", "-p", "a/b")
    inside = client.file("inside.txt")
    client.dx("mv", "inside.txt", "a/b")
    client.dx("rm", "a", status=3)
    assert client.dx("ls") == "a/"
    client.dx("rm", "-r", "a")
    assert client.dx("ls") == ""
    with refused("ResourceNotFound", 404):
        client.describe(inside)


def test_a_folder_that_is_not_empty_is_not_removed(client: Client) -> None:
    client.file()
    with refused("InvalidState", 422, "not empty"):
        dxpy.api.project_remove_folder(client.project, {"folder": client.folder})


def test_mv_renames_and_moves(client: Client) -> None:
    file_id = client.file("old.txt")
    client.dx("mkdir", "a")
    client.dx("mv", "old.txt", "new.txt")
    assert client.describe(file_id)["name"] == "new.txt"
    client.dx("mv", "new.txt", "a")
    assert client.describe(file_id)["folder"] == f"{client.folder}/a"


def test_mv_takes_a_folder_with_what_is_in_it(client: Client) -> None:
    file_id = client.file("x.txt")
    client.dx("mkdir", "-p", "a/b")
    client.dx("mkdir", "c")
    client.dx("mv", "x.txt", "a/b")
    client.dx("mv", "a", "c")
    assert client.describe(file_id)["folder"] == f"{client.folder}/c/a/b"
    client.dx("mv", "c", "renamed")
    assert client.describe(file_id)["folder"] == f"{client.folder}/renamed/a/b"
    assert client.dx("ls") == "renamed/"


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
    searched: Client, filters: list[str], found: set[str]
) -> None:
    results = searched.dx_json("find", "data", "--path", searched.folder, *filters)
    assert {result["describe"]["name"] for result in results} == found


@pytest.fixture(scope="module")
def searched(
    platform: LocalPlatform, _dxpy: None, tmp_path_factory: pytest.TempPathFactory
) -> Client:
    """A folder to search in; no test changes it."""
    client = Client(platform, "/searched", tmp_path_factory.mktemp("searched"))
    below = "/searched/below"
    dxpy.api.project_new_folder(client.project, {"folder": below, "parents": True})
    client.file("a.txt", tags=["red"], properties={"sample": "7"})
    client.file("b.txt", folder=below, tags=["red", "blue"], properties={"sample": "8"})
    client.open_file("c.bam")
    client.applet()
    return client


def test_a_search_of_several_pages_finds_everything_once(client: Client) -> None:
    ids = {client.open_file(f"{number}") for number in range(5)}
    found = list(
        dxpy.find_data_objects(project=client.project, folder=client.folder, first_page_size=2)
    )
    assert len(found) == 5
    assert {result["id"] for result in found} == ids


@pytest.mark.usefixtures("slow_closing")
def test_a_file_takes_its_time_to_close(client: Client) -> None:
    file = dxpy.upload_string("text", folder=client.folder, project=client.project)
    assert file.describe()["state"] == "closing"
    file.wait_on_close(HANG_SECONDS)
    assert file.describe()["state"] == "closed"


def test_wait_is_content_with_a_closed_file_and_not_with_an_open_one(client: Client) -> None:
    client.dx("wait", client.file())
    client.dx("wait", client.open_file(), status=3)


def test_details_are_given_back(client: Client) -> None:
    file = dxpy.new_dxfile(folder=client.folder, project=client.project, details={"a": [1]})
    assert file.get_details() == {"a": [1]}
