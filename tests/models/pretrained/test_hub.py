"""Repositories of a hub: what is fetched, with which token, and what is said where it cannot be."""

import json

import pytest

from glomseg.errors import DownloadError, InvalidInputError, MissingInputError
from glomseg.models.pretrained.hub import fetch_from_hub

from .conftest import COMMIT, Hub

WEIGHTS = bytes(range(256)) * 200
NAME = "hf:lab/net"


def fill(hub: Hub, **files: bytes) -> None:
    hub.files = {"README.md": b"#", "model.safetensors": WEIGHTS, "config.json": b'{"a": 1}', **files}


def test_weights_and_descriptions_are_fetched_once(tmp_path, hub):
    fill(hub)
    found = fetch_from_hub(NAME, cache=tmp_path)
    assert found.name == f"hf:lab/net@{COMMIT}"
    assert found.folder == tmp_path / "hub" / "lab--net" / COMMIT
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (found.folder / "config.json").read_bytes() == b'{"a": 1}'
    assert not (found.folder / "README.md").exists()
    assert hub.paths()[0] == "/api/models/lab/net/revision/main?blobs=true"
    hub.requests.clear()
    assert fetch_from_hub(NAME, cache=tmp_path) == found
    assert hub.paths() == ["/api/models/lab/net/revision/main?blobs=true"]
    assert hub.paths("store") == []


def test_progress_is_told(tmp_path, hub):
    fill(hub)
    seen = []
    fetch_from_hub(NAME, cache=tmp_path, progress=lambda *state: seen.append(state))
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))


def test_a_fetched_commit_needs_no_network(tmp_path, hub):
    fill(hub)
    fetch_from_hub(f"{NAME}@{COMMIT}", cache=tmp_path)
    hub.requests.clear()
    assert fetch_from_hub(f"{NAME}@{COMMIT}", cache=tmp_path).name == f"{NAME}@{COMMIT}"
    assert hub.requests == []


def test_a_branch_that_was_fetched_before_goes_without_a_network(tmp_path, hub, monkeypatch):
    fill(hub)
    found = fetch_from_hub(f"{NAME}@refs/pr/1", cache=tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert fetch_from_hub(f"{NAME}@refs/pr/1", cache=tmp_path) == found
    with pytest.raises(DownloadError, match="give their folder as --weights"):
        fetch_from_hub(NAME, cache=tmp_path)


def test_a_cut_transfer_goes_on_where_it_was_cut(tmp_path, hub):
    fill(hub)
    hub.cut_after = 30_000
    found = fetch_from_hub(NAME, cache=tmp_path)
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert [asked for which, _, _, asked in hub.requests if which == "store"] == [None, "bytes=30000-"]


def test_a_file_that_is_not_the_listed_one_is_not_kept(tmp_path, hub):
    fill(hub)
    hub.answer = json.dumps(hub.listing()).encode()
    hub.files["model.safetensors"] = WEIGHTS[::-1]
    with pytest.raises(DownloadError, match="not the file that was meant"):
        fetch_from_hub(NAME, cache=tmp_path)
    hub.files |= {"model.safetensors": WEIGHTS, "config.json": b'{"a": 2}'}
    with pytest.raises(DownloadError, match="is not the file that the repository lists"):
        fetch_from_hub(NAME, cache=tmp_path)
    assert not list(tmp_path.rglob("config.json"))


def test_parts_and_their_index(tmp_path, hub):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    hub.files = {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": b"1" * 10,
        "model-2.safetensors": b"2" * 10,
        "pytorch_model.bin": b"x",
    }
    folder = fetch_from_hub(NAME, cache=tmp_path).folder
    assert sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock")) == [
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
    ]
    del hub.files["model-2.safetensors"]
    with pytest.raises(InvalidInputError, match=r"has no model-2\.safetensors, which its model\.safetensors\.index"):
        fetch_from_hub(NAME, cache=tmp_path)


def test_a_pickle_where_there_is_nothing_else(tmp_path, hub):
    hub.files = {"pytorch_model.bin": b"pickle", "sub/model.safetensors": b"not looked at"}
    assert (fetch_from_hub(NAME, cache=tmp_path).folder / "pytorch_model.bin").read_bytes() == b"pickle"
    hub.files = {"README.md": b""}
    with pytest.raises(MissingInputError, match="repository 'lab/net' holds no weights"):
        fetch_from_hub(NAME, cache=tmp_path)


def test_the_token_opens_a_gated_repository_and_goes_to_no_other_server(tmp_path, hub, monkeypatch):
    fill(hub)
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    fetch_from_hub(NAME, cache=tmp_path)
    assert {token for which, _, token, _ in hub.requests if which == "hub"} == {"Bearer hf_secret"}
    assert any(path.startswith("/moved/") for path in hub.paths())  # within the same server it goes along
    assert {token for which, _, token, _ in hub.requests if which == "store"} == {None}


def test_refused_access_explains_the_licence_form(tmp_path, hub, monkeypatch):
    fill(hub)
    hub.token = "hf_secret"
    with pytest.raises(DownloadError, match=r"\(401\).*gated.*accept its licence form.*HF_TOKEN is not set") as refused:
        fetch_from_hub(NAME, cache=tmp_path)
    assert f"{hub.url}/lab/net" in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(DownloadError, match=r"\(403\).*HF_TOKEN is set, but its account has no access") as refused:
        fetch_from_hub(NAME, cache=tmp_path)
    assert "hf_other" not in str(refused.value)


def test_no_token_goes_over_the_network_in_the_open(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    asked = []
    monkeypatch.setattr("glomseg.models.pretrained.hub.fetch", lambda *_, token, **__: asked.append(token) or b"{}")
    for endpoint in ("http://mirror.example.org", "https://mirror.example.org"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        with pytest.raises(InvalidInputError, match="not as expected"):
            fetch_from_hub(NAME, cache=tmp_path)
    assert asked == ["", "hf_secret"]
    monkeypatch.setenv("HF_TOKEN", "a b")
    with pytest.raises(InvalidInputError, match="HF_TOKEN holds blanks"):
        fetch_from_hub(NAME, cache=tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "ftp://mirror.example.org")
    with pytest.raises(InvalidInputError, match="HF_ENDPOINT is 'ftp://mirror"):
        fetch_from_hub(NAME, cache=tmp_path)


def test_missing_and_broken_servers(tmp_path, hub, monkeypatch):
    monkeypatch.setattr("glomseg.models.download._PAUSE_S", 0)
    with pytest.raises(DownloadError, match="there is no 'lab/other' with the revision 'v2'"):
        fetch_from_hub("hf:lab/other@v2", cache=tmp_path)
    hub.status = 500
    with pytest.raises(DownloadError, match="answers 500"):
        fetch_from_hub(NAME, cache=tmp_path)
    assert len(hub.requests) == 1 + 5


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:net", "hf:lab/net/more", "hf:lab/net@", "hf:../net", "hf:lab/..", "hf:lab/net@a b", "hf:lab/n?x"],
)
def test_what_is_no_name_of_a_repository(tmp_path, name):
    with pytest.raises(InvalidInputError, match="write hf:ORGANISATION/NAME"):
        fetch_from_hub(name, cache=tmp_path)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>log in</html>", "not as expected"),
        (b"[1]", "not as expected"),
        (b"[" * 100_000, "not as expected"),
        (b'{"sha": "x", "siblings": [{"rfilename": "a", "size": "x"}]}', "not as expected"),
        (b'{"sha": "x", "siblings": [1]}', "not as expected"),
        (b'{"sha": "../../etc", "siblings": []}', "as the commit"),
        (b'{"sha": 7, "siblings": []}', "as the commit"),
        (json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "../x.safetensors"}]}).encode(), "holds no weights"),
        (json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "/x.safetensors"}]}).encode(), "holds no weights"),
    ],
)
def test_answers_that_cannot_be(tmp_path, hub, answer, message):
    hub.answer = answer
    with pytest.raises((InvalidInputError, MissingInputError), match=message):
        fetch_from_hub(NAME, cache=tmp_path)


def test_an_endless_answer(tmp_path, hub, monkeypatch):
    monkeypatch.setattr("glomseg.models.pretrained.hub._MAX_ANSWER_BYTES", 100)
    hub.answer = b" " * 1000
    with pytest.raises(DownloadError, match="more than the 100 bytes"):
        fetch_from_hub(NAME, cache=tmp_path)


def test_a_damaged_list_in_the_cache(tmp_path, hub):
    kept = tmp_path / "hub" / "lab--net" / "revisions" / f"{COMMIT}.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"commit": 1}')
    with pytest.raises(InvalidInputError, match="damaged; delete it"):
        fetch_from_hub(f"{NAME}@{COMMIT}", cache=tmp_path)
