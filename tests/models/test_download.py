"""Downloads from a server that cuts, corrupts, stalls and lies; nothing here leaves this machine."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request

import pytest

from glomseg.errors import DownloadError, InvalidInputError, OutputError
from glomseg.models import download as module
from glomseg.models.download import download, has_hash

if TYPE_CHECKING:
    from conftest import FileServer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "weights.pth"


def fetch(server: "FileServer", path: Path, **more: Any) -> None:
    prefix = hashlib.sha256(server.content).hexdigest()[:8]
    download(server.url, path, **{"sha256_prefix": prefix, "n_bytes": len(server.content), **more})


def part_of(path: Path) -> Path:
    return path.with_name("weights.pth.part")


def keep(path: Path, content: bytes) -> None:
    """Put down what an earlier call had fetched."""
    path.parent.mkdir(parents=True)
    part_of(path).write_bytes(content)


class TestAGoodServer:
    def test_gives_the_file_and_reports_every_byte(self, server: "FileServer", path: Path) -> None:
        reports: list[tuple[int, int]] = []
        fetch(server, path, progress=lambda done, total, note="": reports.append((done, total)))
        assert path.read_bytes() == server.content
        assert not part_of(path).exists()
        assert server.ranges_asked == [None]
        assert reports == sorted(reports)
        assert reports[-1] == (20_000, 20_000)

    def test_is_not_asked_again_for_a_file_that_is_there(self, server: "FileServer", path: Path) -> None:
        fetch(server, path)
        fetch(server, path)
        assert server.n_requests == 1

    def test_replaces_a_damaged_file(self, server: "FileServer", path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"damaged")
        fetch(server, path)
        assert path.read_bytes() == server.content

    @pytest.mark.parametrize("framing", ["chunked", "close"])
    def test_need_not_say_how_long_the_file_is(self, server: "FileServer", path: Path, framing: str) -> None:
        server.plan(framing=framing)
        fetch(server, path)
        assert path.read_bytes() == server.content

    def test_may_lead_on_to_another_address(self, server: "FileServer", path: Path) -> None:
        server.plan(status=302, location="/elsewhere/weights.pth")
        fetch(server, path)
        assert path.read_bytes() == server.content


class TestACutTransfer:
    @pytest.mark.parametrize("how", [{}, {"reset": True, "stall_s": 0.1}, {"framing": "chunked"}])
    def test_goes_on_where_it_was_cut(self, server: "FileServer", path: Path, how: dict[str, Any]) -> None:
        server.plan(send=7000, **how)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [None, "bytes=7000-"]

    def test_goes_on_through_any_number_of_cuts_that_bring_something(self, server: "FileServer", path: Path) -> None:
        for _ in range(9):
            server.plan(send=2000)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked[-1] == "bytes=18000-"

    def test_starts_over_where_the_server_knows_no_ranges(self, server: "FileServer", path: Path) -> None:
        server.always.ranges = False
        server.plan(send=7000, ranges=False)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [None, "bytes=7000-"]

    @pytest.mark.parametrize("content_range", ["bytes 5-19999/20000", "nonsense"])
    def test_starts_over_where_the_server_sends_another_range(
        self, server: "FileServer", path: Path, content_range: str
    ) -> None:
        server.plan(send=7000)
        server.plan(content_range=content_range)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [None, "bytes=7000-", None]

    def test_is_given_up_when_it_gets_no_further_and_what_came_is_kept(self, server: "FileServer", path: Path) -> None:
        server.always.ranges, server.always.send = False, 7000
        with pytest.raises(
            DownloadError, match=r"failed 5 times in a row at 7,000 bytes \(the server closed it"
        ) as bad:
            fetch(server, path)
        assert "what has arrived is kept" in str(bad.value)
        assert server.n_requests == 6
        assert part_of(path).read_bytes() == server.content[:7000]
        assert not path.exists()

    def test_is_noticed_when_the_server_falls_silent(
        self, server: "FileServer", path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_TIMEOUT_S", 0.2)
        server.plan(send=7000, stall_s=0.6)
        server.plan(wait_s=0.6)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [None, "bytes=7000-", "bytes=7000-"]


class TestWhatAnEarlierCallKept:
    def test_is_continued(self, server: "FileServer", path: Path) -> None:
        keep(path, server.content[:12_345])
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == ["bytes=12345-"]

    def test_needs_no_server_when_it_is_whole(self, server: "FileServer", path: Path) -> None:
        keep(path, server.content)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.n_requests == 0

    @pytest.mark.parametrize("n_bytes", [5000, 20_000, 30_000])
    def test_is_fetched_anew_when_it_is_wrong(self, server: "FileServer", path: Path, n_bytes: int) -> None:
        keep(path, b"x" * n_bytes)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [f"bytes={n_bytes}-", None]


class TestAnotherFile:
    def test_of_the_same_length_is_refused_and_deleted(self, server: "FileServer", path: Path) -> None:
        server.always.content = b"x" + server.content[1:]
        with pytest.raises(DownloadError, match="is not the file that was meant: 20,000 bytes with SHA-256 ") as bad:
            fetch(server, path)
        assert "a proxy or log-in page answered instead. It was deleted" in str(bad.value)
        assert [item.name for item in path.parent.iterdir()] == ["weights.pth.lock"]
        assert server.n_requests == 1

    def test_that_cuts_and_damages_every_time_ends(self, server: "FileServer", path: Path) -> None:
        server.always.content = b"x" * 20_000
        for _ in range(6):
            server.plan(content=b"x" * 20_000, send=9000)
            server.plan(content=b"x" * 20_000)
        with pytest.raises(DownloadError, match="not the file that was meant"):
            fetch(server, path)
        assert server.n_requests <= 4
        assert not part_of(path).exists()

    def test_leaves_a_file_that_was_there(self, server: "FileServer", path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"damaged")
        server.always.content = b"a log-in page"
        with pytest.raises(DownloadError, match="13 bytes"):
            fetch(server, path)
        assert path.read_bytes() == b"damaged"

    def test_of_a_length_out_of_reason_is_not_fetched(self, server: "FileServer", path: Path) -> None:
        server.always.content_length = 40_001
        with pytest.raises(DownloadError, match="has 40,001 bytes, but the file that was meant has about 20,000"):
            fetch(server, path)
        assert not part_of(path).exists()

    def test_without_an_end_is_fetched_no_further_than_that(self, server: "FileServer", path: Path) -> None:
        server.always.content, server.always.framing = b"x" * 1_000_000, "close"
        with pytest.raises(DownloadError, match="not the file that was meant: 40,000 bytes"):
            fetch(server, path)
        assert not part_of(path).exists()


class TestAWrongContentLength:
    def test_too_large_does_no_harm(self, server: "FileServer", path: Path) -> None:
        server.plan(content_length=25_000)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.n_requests == 1

    def test_too_small_gives_a_file_that_is_refused(self, server: "FileServer", path: Path) -> None:
        server.plan(content_length=15_000)
        with pytest.raises(DownloadError, match="not the file that was meant: 15,000 bytes"):
            fetch(server, path)
        assert not part_of(path).exists()


class TestAServerThatRefuses:
    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_for_good_is_asked_once(self, server: "FileServer", path: Path, status: int) -> None:
        server.always.status = status
        with pytest.raises(DownloadError, match=f"the server answers {status} "):
            fetch(server, path)
        assert server.n_requests == 1

    @pytest.mark.parametrize("status", [429, 503])
    def test_for_now_is_asked_again(self, server: "FileServer", path: Path, status: int) -> None:
        server.plan(status=status)
        server.plan(status=status)
        fetch(server, path)
        assert path.read_bytes() == server.content

    def test_for_now_and_for_ever_is_asked_five_times(self, server: "FileServer", path: Path) -> None:
        server.always.status = 503
        with pytest.raises(DownloadError, match=r"failed 5 times in a row at 0 bytes \(the server answers 503 "):
            fetch(server, path)
        assert server.n_requests == 5

    def test_waits_get_longer(self, server: "FileServer", path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr(module, "_PAUSE_S", 1.0)
        monkeypatch.setattr(module.time, "sleep", lambda wait_s: waits.append(wait_s) if wait_s else None)
        for _ in range(3):
            server.plan(status=503)
        fetch(server, path)
        assert waits == [1, 2, 4]

    def test_by_leading_round_in_circles_is_left(self, server: "FileServer", path: Path) -> None:
        server.always.status, server.always.location = 302, server.url
        with pytest.raises(DownloadError, match="the server answers 302"):
            fetch(server, path)

    @pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/weights.pth"])
    def test_by_leading_out_of_the_web_is_not_followed(self, server: "FileServer", path: Path, address: str) -> None:
        server.always.status, server.always.location = 302, address
        with pytest.raises(DownloadError):
            fetch(server, path)
        assert not part_of(path).exists()


def test_an_encrypted_transfer_is_never_led_to_an_open_one() -> None:
    redirects = module._CarefulRedirects()
    request = Request("https://a.example/weights.pth")
    followed = redirects.redirect_request(request, None, 302, "Found", {}, "https://b.example/weights.pth")
    assert followed is not None
    assert followed.full_url == "https://b.example/weights.pth"
    with pytest.raises(URLError, match="which is not https"):
        redirects.redirect_request(request, None, 302, "Found", {}, "http://b.example/weights.pth")


def test_without_a_network_it_says_so_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda wait_s: pytest.fail("it waits"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
        with pytest.raises(DownloadError, match=f"cannot download {url}: .*refused"):
            download(url, path, sha256_prefix="00", n_bytes=10)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/x", "C:\\weights.pth", "weights.pth", ""])
def test_only_web_addresses_are_fetched(path: Path, url: str) -> None:
    with pytest.raises(InvalidInputError, match="only http and https"):
        download(url, path, sha256_prefix="00", n_bytes=10)


class TestAFolderThatCannotBeWritten:
    def test_because_it_is_a_file(self, server: "FileServer", path: Path) -> None:
        path.parent.write_text("in the way")
        with pytest.raises(OutputError, match="a file of that name is in the way"):
            fetch(server, path)

    def test_because_a_folder_has_the_name_of_the_part(self, server: "FileServer", path: Path) -> None:
        part_of(path).mkdir(parents=True)
        with pytest.raises(OutputError, match=r"cannot write .*weights.pth.part"):
            fetch(server, path)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_because_the_disk_is_full(self, server: "FileServer", path: Path) -> None:
        path.parent.mkdir()
        part_of(path).symlink_to("/dev/full")
        with pytest.raises(OutputError, match="the disk is full"):
            fetch(server, path)
        assert server.n_requests == 1


def start_process(server: "FileServer", path: Path) -> "subprocess.Popen[str]":
    prefix = hashlib.sha256(server.content).hexdigest()[:8]
    code = (
        "from pathlib import Path; from glomseg.models.download import download; "
        f"download({server.url!r}, Path({str(path)!r}), sha256_prefix={prefix!r}, n_bytes={len(server.content)})"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestSeveralProcesses:
    def test_fetch_the_file_once(self, server: "FileServer", path: Path) -> None:
        server.always.pause_s = 0.05
        processes = [start_process(server, path) for _ in range(2)]
        notes: list[str] = []
        wait_until(lambda: server.n_requests)
        fetch(server, path, progress=lambda done, total, note="": notes.append(note))
        for process in processes:
            assert process.communicate(timeout=60)[1] == ""
            assert process.returncode == 0
        assert path.read_bytes() == server.content
        assert server.n_requests == 1
        assert notes == ["waiting for another process that fetches it", ""]

    @pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
    def test_go_on_after_one_that_was_killed(self, server: "FileServer", path: Path) -> None:
        server.plan(send=6000, stall_s=5.0)
        process = start_process(server, path)
        wait_until(lambda: part_of(path).exists() and part_of(path).stat().st_size == 6000)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        fetch(server, path)
        assert path.read_bytes() == server.content
        assert server.ranges_asked == [None, "bytes=6000-"]


def test_a_hash_is_compared_with_what_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert has_hash(tmp_path / "empty", "e3b0c442")  # SHA-256 of nothing
    assert not has_hash(tmp_path / "empty", "e3b0c443")
    assert not has_hash(tmp_path, "")
    assert not has_hash(tmp_path / "absent", "")
