"""The emulated striped store: real servers, real bytes; what lies where, who may ask, and how it ends."""

import contextlib
import errno
import io
import math
import pickle
import signal
import socket
import subprocess
import sys

import h5py
import numpy
import psutil
import pytest
from torch.utils.data import DataLoader

from hpclab.models.storage import Reading, Server
from hpclab.storage import file_system
from hpclab.storage.striped import StripedStore
from tests.conftest import gone, until

pytestmark = pytest.mark.slow  # all of them together

FAST = Server(100e6)
DATA = numpy.random.default_rng(0).bytes(300_001)


@pytest.fixture(scope="module")
def store():
    with StripedStore((FAST,) * 3, metadata=2000, capacity=2**24) as store:
        yield store


@pytest.fixture
def client(store):
    """One with a wide layout, whose files are gone afterwards."""
    client = store.client(link=1e9, stripes=3, stripe_size=4096)
    yield client
    for name in client.find(""):
        client.rm_file(name)


@pytest.fixture
def doomed():
    """Two servers for a test that ends them."""
    with StripedStore((FAST,) * 2) as store:
        store.fill({"first": DATA, "second": DATA})
        yield store


def servers_here():
    return {one.pid for one in psutil.Process().children() if "hpclab.storage.server" in one.cmdline()}


@pytest.mark.parametrize("stripe_size", [4096, 65536, 2**17])
@pytest.mark.parametrize("stripes", [1, 2, 3])
def test_bytes_come_back_whatever_part_is_asked_for(store, stripes, stripe_size):
    client = store.client(stripes=stripes, stripe_size=stripe_size)
    edges = [0, 1, stripe_size - 1, stripe_size, stripe_size + 1, 3 * stripe_size, len(DATA) - 1, len(DATA)]
    for size in (0, 1, stripe_size, 2 * stripe_size + 1, len(DATA)):
        client.pipe_file("some/file", DATA[:size])
        assert client.info("/some/file")["size"] == size
        for start, end in ((start, end) for start in edges for end in edges if start <= end):
            assert client.cat_file("some/file", start, end) == DATA[:size][start:end]
        assert client.cat_file("striped:///some/file") == DATA[:size]
    client.rm("some/file")
    assert {one["free"] for one in store.statistics()} == {2**24}


def test_stripes_lie_where_the_model_says_and_each_part_is_one_operation():
    reading = Reading(files=4, size=len(DATA), stripes=2, stripe_size=65536)
    with StripedStore((FAST,) * 3) as store:
        store.fill({f"file {n}": DATA for n in range(4)}, stripes=2, stripe_size=65536)
        assert all(one["operations"] == one["bytes"] == 0 for one in store.statistics()), "it was limited"
        client, moved, operations = store.client(), [0.0] * 3, [0] * 3
        for number in range(4):
            assert client.cat_file(f"file {number}") == DATA
            for place, part in enumerate(reading.parts(3)):
                moved[(number + place) % 3] += part
                operations[(number + place) % 3] += 1
        *servers, metadata = store.statistics()
        assert [one["bytes"] for one in servers] == [2**27 - one["free"] for one in servers] == moved
        assert [one["operations"] for one in servers] == operations
        assert metadata["operations"] == 4


def test_files_and_folders_are_listed(client):
    for name in ("a/b/c", "a/d", "e"):
        client.pipe_file(name, b"x")
    assert client.ls("", detail=False) == ["a", "e"]
    assert client.ls("a", detail=False) == client.ls("/a/", detail=False) == ["a/b", "a/d"]
    assert client.isdir("a/b")
    assert client.exists("a/d")
    assert not client.exists("a/x")
    with pytest.raises(FileNotFoundError):
        client.cat_file("a/x")


def test_a_library_reads_and_writes_through_open(client):
    array, whole = numpy.arange(20_000.0).reshape(100, 200), io.BytesIO()
    with h5py.File(whole, "w") as file:
        file.create_dataset("x", data=array, chunks=(10, 200))
    with client.open("x.h5", "wb") as file:
        file.write(whole.getbuffer())
    with client.open("x.h5") as file, h5py.File(file) as opened:
        assert (opened["x"][20:40] == array[20:40]).all()


def test_a_forked_client_shares_the_link_a_pickled_one_does_not_and_both_connect_for_themselves(client):
    for number in range(6):
        client.pipe_file(f"item {number}", b"%d" % number)
    before = client._link_free.value
    forked = DataLoader(
        range(6), None, num_workers=2, collate_fn=lambda number: int(client.cat_file(f"item {number}"))
    )
    assert list(forked) == list(range(6))
    assert client._link_free.value > before
    assert client.cat_file("item 2") == b"2"
    assert pickle.loads(pickle.dumps(client))._link_free.value == 0
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).cat_file('item 5').decode())"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(client), capture_output=True)
    assert done.stdout.strip() == b"5", done.stderr


RIGHT = b'{"do":"statistics","asked":null}\n'
WRONG = [b"x" * 2**13, b"nope\n", b"{}\n", b"{", RIGHT.replace(b"statistics", b"exit")]
KEYS = [b"", b"x" * 64, b"\xff" * 64, b"half a key"]


@pytest.mark.parametrize(
    ("key", "said"), [*((key, RIGHT) for key in KEYS), *((None, said) for said in WRONG)]
)
def test_a_wrong_key_or_message_ends_that_connection_only(client, key, said):
    client.pipe_file("x", DATA)
    for port in client._ports:
        sock = socket.create_connection(("127.0.0.1", port), 60)
        with sock, contextlib.suppress(OSError):  # reset, where it has not read all of this
            sock.sendall((client._key.encode() if key is None else key) + said)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
    assert client.cat_file("x") == DATA


def test_what_does_not_fit_is_refused_and_leaves_nothing(store, client):
    before = store.statistics()
    with pytest.raises(OSError, match=r"no space left for this\.") as caught:
        client.pipe_file("x", bytes(2**25 + 2**24 + 1))
    assert caught.value.errno == errno.ENOSPC
    assert [one["free"] for one in store.statistics()] == [one["free"] for one in before]
    assert not client.exists("x")
    client.pipe_file("y", DATA)  # over the same lines
    assert client.cat_file("y") == DATA


def test_a_write_that_takes_longer_than_an_answer_may_is_no_silence(monkeypatch):
    monkeypatch.setattr(file_system, "PATIENCE", 5.0)  # and seven seconds, less what the sockets hold
    with StripedStore((Server(4e6),)) as store:
        store.client().pipe_file("x", bytes(28_000_000))


def test_what_is_being_written_takes_room_from_its_beginning_until_its_writer_is_gone(doomed):
    client, free = doomed.client(), lambda: doomed.statistics()[0]["free"]
    before, length = free(), 2**20
    with socket.create_connection(("127.0.0.1", client._ports[0])) as sock:
        write = b'{"do": "write", "asked": null, "number": 9, "length": %d}\n' % length
        sock.sendall(client._key.encode() + write)
        until(lambda: free() == before - length, "its room is taken")
        sock.sendall(bytes(length - 1))
    until(lambda: free() == before, "its room is given back")


@pytest.mark.parametrize("name", ["", "a\nb", "a\0b", "x" * 256, "\ud800"])
def test_what_is_no_name_is_refused(client, name, refused):
    refused(lambda: client.pipe_file(name, b"x"))


def test_a_server_that_is_killed_is_named_and_the_others_go_on(doomed):
    client = doomed.client()
    with client.open("first") as file:
        assert file.read(1) == DATA[:1]
        doomed._processes[0].kill()
        with pytest.raises(OSError, match=r"^Storage server 0 .* has ended: .*\.$"):
            file.read()
    assert client.cat_file("second") == DATA
    doomed._processes[-1].kill()
    doomed._processes[-1].wait()
    for ask in (client.exists, client.ls, client.cat_file):
        with pytest.raises(OSError, match="metadata server has ended"):
            ask("second")


def test_a_server_that_is_stopped_is_named(doomed, monkeypatch):
    monkeypatch.setattr(file_system, "PATIENCE", 0.5)
    client = doomed.client()
    doomed._processes[1].send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError, match=r"^Storage server 1 .* has not answered"):
        client.cat_file("second")
    monkeypatch.undo()
    assert client.cat_file("first") == DATA
    doomed._processes[1].send_signal(signal.SIGCONT)
    assert client.cat_file("second") == DATA, "it read on where it had stopped"


def test_close_leaves_no_process_and_no_port(doomed, refused):
    ports, processes = doomed.client()._ports, {process.pid for process in doomed._processes}
    assert processes <= servers_here()
    doomed._processes[0].send_signal(signal.SIGSTOP)
    doomed.close()
    doomed.close()
    assert not processes & servers_here()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    refused(doomed.client)


def test_servers_end_with_a_process_that_is_killed():
    code = (
        "import time; from hpclab.storage.striped import StripedStore; store = StripedStore()\n"
        "print(*(one.pid for one in store._processes), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        servers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(servers) == 5
        process.kill()
        until(lambda: all(map(gone, servers)), "the servers have ended")


@pytest.mark.parametrize("bad", [0, math.nan, 1e30, "two", ...], ids=repr)
def test_bad_input_is_refused_before_anything_starts(store, bad, refused):
    before = servers_here()
    for fields in ({"servers": bad}, {"servers": (bad,)}, {"metadata": bad}, {"capacity": bad}):
        refused(lambda fields=fields: StripedStore(**fields))
    for name in ("link", "stripes", "stripe_size"):
        refused(lambda name=name: store.client(**{name: bad}))
    assert servers_here() == before


def test_what_is_more_than_can_be_emulated_is_refused(refused):
    for servers in ((), (FAST,) * 4, (Server(9e5),), (Server(1e6),) * 17, (Server(50e6, 3000),)):
        refused(lambda servers=servers: StripedStore(servers))
    refused(lambda: StripedStore(latency=-1))
    refused(lambda: StripedStore(capacity=2**29))
