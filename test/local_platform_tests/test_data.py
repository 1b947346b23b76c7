"""`dx` commands for files and folders."""

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform_tests.client import HANG_SECONDS, Client, rejected


def test_whoami_prints_the_user_id(client: Client) -> None:
    assert client.dx("whoami", "--id") == "user-local"


def test_pwd_prints_the_project_and_the_folder(client: Client) -> None:
    assert client.dx("pwd") == f"local:{client.folder}"


def test_find_projects_finds_the_only_project(client: Client) -> None:
    assert client.dx("find", "projects", "--brief") == client.project
    assert client.dx("find", "projects", "--name", "other*", "--brief") == ""


def test_ls_lists_folders_before_files(client: Client) -> None:
    client.file("b.txt")
    client.file("a.txt")
    client.dx("mkdir", "c")
    assert client.dx("ls").split() == ["c/", "a.txt", "b.txt"]


def test_ls_l_prints_state_size_and_id(client: Client) -> None:
    closed, open_ = client.file("a.txt", "12345"), client.open_file("b.txt")
    lines = client.dx("ls", "-l").splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["closed", "open"]
    assert "5 bytes" in lines[-2]
    assert lines[-2].endswith(f"a.txt ({closed})")
    assert lines[-1].endswith(f"b.txt ({open_})")


def test_ls_of_a_missing_folder_fails(client: Client) -> None:
    assert "could not be found" in client.dx("ls", "nowhere/", status=3)


def test_mkdir_creates_parent_folders_only_with_p(client: Client) -> None:
    assert "could not be found" in client.dx("mkdir", "a/b", status=3)
    client.dx("mkdir", "-p", "a/b")
    assert client.dx("ls", "a") == "b/"


def test_mkdir_accepts_an_existing_folder_only_with_p(client: Client) -> None:
    client.dx("mkdir", "a")
    assert "exists, code 422" in client.dx("mkdir", "a", status=3)
    client.dx("mkdir", "-p", "a")


def test_upload_download_and_cat_preserve_the_content(client: Client) -> None:
    content = bytes(range(256)) * 100
    source = client.local_file("data.bin", content)
    client.upload(source)
    client.dx("download", "data.bin", "-o", "back.bin", "--no-progress")
    assert (client.local / "back.bin").read_bytes() == content
    client.upload(client.local_file("text.txt", "two\nlines\n"))
    assert client.dx("cat", "text.txt") == "two\nlines"


def test_upload_writes_to_the_given_path(client: Client) -> None:
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


def test_find_data_matches_an_escaped_asterisk_literally(client: Client) -> None:
    asterisk, _ = client.file("a*.txt"), client.file("ab.txt")
    assert client.dx("find", "data", "--name", r"a\*.txt", "--brief", "--path", client.folder) == (
        f"{client.project}:{asterisk}"
    )


def test_an_empty_file_can_be_uploaded_and_downloaded(client: Client) -> None:
    file_id = client.upload(client.local_file("empty"))
    assert client.describe(file_id)["size"] == 0
    client.dx("download", file_id, "-o", "back", "--no-progress")
    assert (client.local / "back").read_bytes() == b""


def test_describe_returns_the_metadata_of_a_file(client: Client) -> None:
    source = client.local_file("a.txt", "12345")
    file_id = client.upload(source, "--tag", "t", "--property", "k=v")
    description = client.dx_json("describe", "a.txt")
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
    assert {key: description[key] for key in expected} == expected
    assert file_id in client.dx("describe", file_id)


def test_rm_deletes_files_permanently(client: Client) -> None:
    removed, kept = client.file("removed.txt"), client.file("kept.txt")
    client.dx("rm", "removed.txt")
    assert client.dx("ls") == "kept.txt"
    with rejected("ResourceNotFound", 404, removed):
        client.describe(removed)
    assert not (client.platform.store.root / removed).exists()
    assert (client.platform.store.root / kept).exists()


def test_rm_removes_a_folder_and_its_contents_only_with_r(client: Client) -> None:
    client.dx("mkdir", "-p", "a/b")
    inside = client.file("inside.txt")
    client.dx("mv", "inside.txt", "a/b")
    client.dx("rm", "a", status=3)
    assert client.dx("ls") == "a/"
    client.dx("rm", "-r", "a")
    assert client.dx("ls") == ""
    with rejected("ResourceNotFound", 404):
        client.describe(inside)


def test_remove_folder_rejects_a_folder_that_is_not_empty(client: Client) -> None:
    client.file()
    with rejected("InvalidState", 422, "not empty"):
        dxpy.api.project_remove_folder(client.project, {"folder": client.folder})


def test_mv_renames_and_moves_a_file(client: Client) -> None:
    file_id = client.file("old.txt")
    client.dx("mkdir", "a")
    client.dx("mv", "old.txt", "new.txt")
    assert client.describe(file_id)["name"] == "new.txt"
    client.dx("mv", "new.txt", "a")
    assert client.describe(file_id)["folder"] == f"{client.folder}/a"


def test_mv_moves_and_renames_a_folder_with_its_contents(client: Client) -> None:
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
def test_find_data_returns_the_objects_that_match_all_filters(
    search_client: Client, filters: list[str], found: set[str]
) -> None:
    results = search_client.dx_json("find", "data", "--path", search_client.folder, *filters)
    assert {result["describe"]["name"] for result in results} == found


@pytest.fixture(scope="module")
def search_client(
    platform: LocalPlatform, _dxpy: None, tmp_path_factory: pytest.TempPathFactory
) -> Client:
    """Returns a client with a folder of objects to find; tests must not change it."""
    client = Client(platform, "/search", tmp_path_factory.mktemp("search"))
    subfolder = "/search/subfolder"
    dxpy.api.project_new_folder(client.project, {"folder": subfolder, "parents": True})
    client.file("a.txt", tags=["red"], properties={"sample": "7"})
    client.file("b.txt", folder=subfolder, tags=["red", "blue"], properties={"sample": "8"})
    client.open_file("c.bam")
    client.applet()
    return client


def test_a_paged_search_finds_each_object_once(client: Client) -> None:
    ids = {client.open_file(f"{number}") for number in range(5)}
    found = list(
        dxpy.find_data_objects(project=client.project, folder=client.folder, first_page_size=2)
    )
    assert len(found) == 5
    assert {result["id"] for result in found} == ids


@pytest.mark.usefixtures("slow_closing")
def test_a_file_is_closing_before_it_is_closed(client: Client) -> None:
    file = dxpy.upload_string("text", folder=client.folder, project=client.project)
    assert file.describe()["state"] == "closing"
    file.wait_on_close(HANG_SECONDS)
    assert file.describe()["state"] == "closed"


def test_dx_wait_succeeds_for_a_closed_file_and_fails_for_an_open_one(client: Client) -> None:
    client.dx("wait", client.file())
    client.dx("wait", client.open_file(), status=3)


def test_details_are_stored_and_returned(client: Client) -> None:
    file = dxpy.new_dxfile(folder=client.folder, project=client.project, details={"a": [1]})
    assert file.get_details() == {"a": [1]}
