"""Known weights and their cache; nothing here leaves this machine."""

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glomseg.errors import DownloadError, InvalidInputError, MissingInputError
from glomseg.models import known_weights as module
from glomseg.models.build import ARCHITECTURES
from glomseg.models.known_weights import (
    KNOWN_WEIGHTS,
    KnownWeights,
    cache_folder,
    cached_path,
    fetch_weights,
    find_weights,
)

if TYPE_CHECKING:
    from conftest import FileServer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def weights(server: "FileServer", monkeypatch: pytest.MonkeyPatch) -> KnownWeights:
    """Known weights that the server on this machine publishes."""
    small = dataclasses.replace(
        KNOWN_WEIGHTS["resnet50_v1c_imagenet"],
        name="small",
        url=server.url,
        sha256_prefix=hashlib.sha256(server.content).hexdigest()[:8],
        n_bytes=len(server.content),
    )
    monkeypatch.setitem(KNOWN_WEIGHTS, "small", small)
    return small


class TestTheList:
    @pytest.mark.parametrize("item", KNOWN_WEIGHTS.values(), ids=KNOWN_WEIGHTS.keys())
    def test_holds_openmmlab_files_with_their_hash_in_the_name(self, item: KnownWeights) -> None:
        assert KNOWN_WEIGHTS[item.name] is item
        assert item.url.startswith("https://download.openmmlab.com/")
        assert item.file_name.endswith(f"-{item.sha256_prefix}.pth")
        assert item.architecture in ARCHITECTURES
        assert item.licence == "Apache-2.0"
        assert "non-commercial" in item.data_terms

    def test_holds_a_whole_network_and_a_backbone(self) -> None:
        assert {name: item.part for name, item in KNOWN_WEIGHTS.items()} == {
            "pspnet_r50_cityscapes": "network",
            "resnet50_v1c_imagenet": "backbone",
            "mobilenet_v2_imagenet": "backbone",
        }

    def test_gives_every_file_its_own_name_in_the_cache(self) -> None:
        assert len({item.file_name for item in KNOWN_WEIGHTS.values()}) == len(KNOWN_WEIGHTS)


class TestTheCacheFolder:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in ("GLOMSEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        return tmp_path

    def test_is_the_one_that_is_chosen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "my cache"))
        assert cache_folder() == tmp_path / "my cache"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GLOMSEG_CACHE", "here")
        assert cache_folder() == tmp_path / "here"
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GLOMSEG_CACHE", "~/cache")
        assert cache_folder() == tmp_path / "cache"

    def test_follows_each_platform(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        assert cache_folder() == home / ".cache" / "glomseg"
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
        assert cache_folder() == home / "xdg" / "glomseg"
        monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
        assert cache_folder() == home / ".cache" / "glomseg"
        monkeypatch.setattr(sys, "platform", "darwin")
        assert cache_folder() == home / "Library" / "Caches" / "glomseg"
        monkeypatch.setattr(sys, "platform", "win32")
        assert cache_folder() == home / "AppData" / "Local" / "glomseg" / "Cache"
        monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
        assert cache_folder() == home / "local" / "glomseg" / "Cache"

    def test_is_not_made_by_asking_for_it(self, home: Path) -> None:
        assert not cache_folder().exists()

    def test_must_be_chosen_where_there_is_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
        with pytest.raises(MissingInputError, match="set GLOMSEG_CACHE to a folder"):
            cache_folder()


class TestFetchedWeights:
    def test_are_downloaded_once(self, server: "FileServer", weights: KnownWeights, cache: Path) -> None:
        assert cached_path("small") is None
        path = fetch_weights("small")
        assert path == cache / "weights.pth" == cached_path("small")
        assert path.read_bytes() == server.content
        assert fetch_weights("small") == path
        assert server.n_requests == 1

    def test_come_into_another_folder_or_from_a_mirror(
        self, server: "FileServer", weights: KnownWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = dataclasses.replace(weights, url="http://127.0.0.1:9/far/away/weights.pth")
        monkeypatch.setitem(KNOWN_WEIGHTS, "small", away)
        other = tmp_path / "other"
        path = fetch_weights("small", cache=other, base_url=server.url.removesuffix("weights.pth"))
        assert path == other / "weights.pth" == cached_path("small", cache=other)
        assert cached_path("small") is None

    def test_report_bytes_even_from_the_cache(self, weights: KnownWeights) -> None:
        reports: list[tuple[int, int]] = []
        fetch_weights("small", progress=lambda done, total, note="": reports.append((done, total)))
        assert reports[-1] == (20_000, 20_000)
        reports.clear()
        fetch_weights("small", progress=lambda done, total, note="": reports.append((done, total)))
        assert reports == [(20_000, 20_000)]

    def test_are_fetched_again_when_the_file_was_damaged(
        self, server: "FileServer", weights: KnownWeights, cache: Path
    ) -> None:
        path = fetch_weights("small")
        path.write_bytes(server.content[:-1] + b"?")
        assert fetch_weights("small").read_bytes() == server.content
        assert server.n_requests == 2

    def test_may_be_put_into_the_cache_by_hand(self, server: "FileServer", weights: KnownWeights, cache: Path) -> None:
        cache.mkdir()
        (cache / "weights.pth").write_bytes(server.content)
        cache.chmod(0o500)  # nor need it be writable then
        assert fetch_weights("small") == cache / "weights.pth"
        assert [item.name for item in cache.iterdir()] == ["weights.pth"]
        assert server.n_requests == 0
        cache.chmod(0o700)

    def test_that_cannot_be_had_say_which_file_to_put_where(
        self, server: "FileServer", weights: KnownWeights, cache: Path
    ) -> None:
        server.always.status = 404
        with pytest.raises(DownloadError, match="the server answers 404") as bad:
            fetch_weights("small")
        message = str(bad.value)
        assert f"fetch {server.url} elsewhere and put it on this one as {str(cache / 'weights.pth')!r};" in message
        assert f"its SHA-256 must begin with {weights.sha256_prefix}" in message

    def test_that_are_damaged_and_cannot_be_had_are_not_used(
        self, server: "FileServer", weights: KnownWeights, cache: Path
    ) -> None:
        cache.mkdir()
        (cache / "weights.pth").write_bytes(b"damaged")
        server.always.status = 404
        with pytest.raises(DownloadError, match="the file that lies there now is damaged"):
            fetch_weights("small")

    def test_of_an_unknown_name_are_an_error_with_the_nearest(self) -> None:
        for ask in (fetch_weights, cached_path):
            with pytest.raises(MissingInputError, match="did you mean pspnet_r50_cityscapes\\? known are pspnet_r50_"):
                ask("pspnet_r50_cityscape")

    def test_from_no_web_address_are_refused(self, weights: KnownWeights) -> None:
        with pytest.raises(InvalidInputError, match="only http and https"):
            fetch_weights("small", base_url="file:///tmp")


class TestFindingWeights:
    def test_takes_a_known_name(self, weights: KnownWeights, cache: Path) -> None:
        assert find_weights("small") == cache / "weights.pth"

    def test_takes_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "权重 1.pth"
        path.touch()
        assert find_weights(path) == find_weights(str(path)) == path
        monkeypatch.setenv("HOME", str(tmp_path))
        assert find_weights("~/权重 1.pth") == path

    def test_refuses_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="is a folder; give the file of weights in it"):
            find_weights(tmp_path)

    @pytest.mark.parametrize("name", ["absent.pth", "~nobody-of-that-name/x.pth", ""])
    def test_names_what_is_known_where_there_is_neither(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(MissingInputError, match=r"known are pspnet_r50_cityscapes, resnet50_v1c_imagenet"):
            find_weights(name)


def test_the_module_needs_no_torch() -> None:
    import subprocess

    code = f"import sys, {module.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
