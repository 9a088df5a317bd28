"""A class on a JupyterHub: learners log in within a minute, run lessons again and again, and stop their servers.

    python benchmarks/classroom.py --hub http://127.0.0.1:8000 --minutes 30 --lessons 01 05 < learners.txt

A line of standard input is a learner's name, a blank, their password. Each logs in, spawns a server, and runs the
code cells of the lessons as a browser would, through the server's own protocol. One line a learner and a summary
say how long servers took to start and runs to end, how long nodes were waited for, and what went wrong. Works
with any hub that asks for name and password; the exit status is 1 where a run was not right.
"""

import argparse
import json
import statistics
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field

import requests
import websocket

# What lesson 05 knows of its pool at its end: what its nodes were, and the seconds each waited in the queue.
ASKED = {
    "05": {"nodes": "pool.label", "waits": "[w.started - w.submitted for w in pool.workers() if w.started]"}
}


@dataclass
class Told:
    """What became of one learner: seconds of `start` and of each run, what went `wrong`, in sentences."""

    name: str
    start: float = 0.0
    runs: dict[str, list[float]] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Learner:
    """One that is logged in at `hub`, with a token for their own server."""

    def __init__(self, hub: str, name: str, password: str):
        self.hub, self.name, self.http = hub.rstrip("/"), name, requests.Session()
        self.http.trust_env = False
        page = f"{self.hub}/hub/login"
        self.http.get(page, timeout=60)
        said = self.http.post(
            page,
            {"username": name, "password": password, "_xsrf": self._xsrf()},
            timeout=60,
            allow_redirects=False,
        )
        if said.status_code != 302:
            raise PermissionError(f"{name} could not log in ({said.status_code}).")
        self.http.get(f"{self.hub}/hub/token", timeout=60)
        self.token = self.call("POST", f"hub/api/users/{name}/tokens", {"note": "benchmark"})["token"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"token {self.token}"

    def _xsrf(self) -> str:
        return next(
            cookie.value for cookie in self.http.cookies if cookie.name == "_xsrf" and "hub" in cookie.path
        )

    def call(self, method: str, path: str, content: object = None) -> object:
        """What the hub or the server answers, as data; requests.HTTPError where it refuses."""
        asked = {} if "Authorization" in self.http.headers else {"_xsrf": self._xsrf()}
        said = self.http.request(method, f"{self.hub}/{path}", params=asked, json=content, timeout=120)
        said.raise_for_status()
        return said.json() if said.content else None

    def spawn(self, limit: float = 600) -> None:
        self.call("POST", f"hub/api/users/{self.name}/server", {})
        deadline = time.monotonic() + limit
        while True:
            server = self.call("GET", f"hub/api/users/{self.name}")["servers"].get("")
            if server and server["ready"]:
                return
            if not server or time.monotonic() > deadline:
                raise TimeoutError("the server did not start")
            time.sleep(0.5)

    def stop(self) -> None:
        self.call("DELETE", f"hub/api/users/{self.name}/server")

    def run(self, notebook: str, asked: dict[str, str]) -> dict[str, object]:
        """Run all code cells of a notebook in a kernel of its own; RuntimeError names the one that failed."""
        user = f"user/{self.name}/api"
        model = {"path": notebook, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        cells = self.call("GET", f"{user}/contents/{notebook}")["content"]["cells"]
        session = self.call("POST", f"{user}/sessions", model)
        try:
            address = f"{self.hub}/{user}/kernels/{session['kernel']['id']}/channels"
            channel = websocket.create_connection(
                address.replace("http", "ws", 1), header=[f"Authorization: token {self.token}"], timeout=300
            )
            for number, cell in enumerate(cells):
                if cell["cell_type"] == "code":
                    try:
                        execute(channel, cell["source"], {})
                    except RuntimeError as error:
                        raise RuntimeError(f"cell {number}: {error}") from None
            found = execute(channel, "", asked)
            execute(channel, "globals().get('pool') and pool.close()", {})
            channel.close()
            return found
        finally:
            self.call("DELETE", f"{user}/sessions/{session['id']}")


def execute(channel: websocket.WebSocket, code: str, asked: dict[str, str]) -> dict[str, object]:
    """Run `code` in a kernel, wait until it is idle again, and return the values of the expressions `asked`."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": uuid.uuid4().hex,
              "version": "5.3", "date": ""}  # fmt: skip
    content = {"code": code, "silent": False, "store_history": bool(code), "user_expressions": asked,
               "allow_stdin": False, "stop_on_error": True}  # fmt: skip
    channel.send(json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {},
                             "content": content, "buffers": []}))  # fmt: skip
    reply, idle = None, False
    while reply is None or not idle:
        if not isinstance(said := channel.recv(), str):
            continue
        message = json.loads(said)
        if message.get("parent_header", {}).get("msg_id") != header["msg_id"]:
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        idle = idle or (kind == "status" and content["execution_state"] == "idle")
        reply = content if kind == "execute_reply" else reply
        if kind == "execute_reply" and content["status"] == "error":
            raise RuntimeError(f"{content['ename']}: {content['evalue'][:300]}")
    values = reply.get("user_expressions", {})
    return {name: value.get("data", {}).get("text/plain", "") for name, value in values.items()}


def attend(
    hub: str, name: str, password: str, lessons: dict[str, str], begin: float, until: float, told: Told
) -> None:
    """Be one learner of the class, from `begin` to `until` on the monotonic clock."""
    try:
        time.sleep(max(0, begin - time.monotonic()))
        learner, start = Learner(hub, name, password), time.monotonic()
        learner.spawn()
        told.start = time.monotonic() - start
        try:
            while True:
                for number, notebook in lessons.items():
                    at = time.monotonic()
                    found = learner.run(notebook, ASKED.get(number, {}))
                    told.runs.setdefault(number, []).append(round(time.monotonic() - at, 2))
                    told.nodes += [found["nodes"].strip("'\"")] if found.get("nodes") else []
                    told.waits += json.loads(found.get("waits") or "[]")
                if time.monotonic() > until:
                    break
        finally:
            learner.stop()
    except Exception as error:
        told.wrong.append(f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hub", default="http://127.0.0.1:8000", help="its address, as a browser has it")
    parser.add_argument("--minutes", type=float, default=3, help="after which nobody begins another round")
    parser.add_argument("--within", type=float, default=60, help="seconds in which all come in")
    parser.add_argument("--lessons", nargs="+", default=["01", "05"])
    parser.add_argument("--folder", default="hpclab", help="the course, in a learner's home")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from hpclab import course

    names = {lesson.number: f"{options.folder}/{lesson.path.name}" for lesson in course.lessons()}
    lessons = {number: names[number] for number in options.lessons}
    people = [line.split() for line in sys.stdin if line.strip()]
    told, start = [Told(name) for name, _ in people], time.monotonic()
    threads = [
        threading.Thread(target=attend, args=(
            options.hub, name, password, lessons, start + at * options.within / len(people),
            start + options.minutes * 60, told[at],
        )) for at, (name, password) in enumerate(people)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if options.json:
        print(json.dumps([asdict(one) for one in told], indent=1))
    else:
        report(told)
    return int(any(one.wrong for one in told))


def report(told: list[Told]) -> None:
    for one in told:
        counts = ", ".join(f"{len(runs)} of lesson {number}" for number, runs in one.runs.items()) or "no run"
        print(f"{one.name}: server after {one.start:.1f} s, {counts}. {' '.join(one.wrong)}")
    print(f"\n{len(told)} learners, {sum(bool(one.wrong) for one in told)} with something wrong.")
    if starts := [one.start for one in told if one.start]:
        print(f"Servers: median {statistics.median(starts):.1f} s, slowest {max(starts):.1f} s.")
    for number in dict.fromkeys(number for one in told for number in one.runs):
        runs = [seconds for one in told for seconds in one.runs.get(number, [])]
        print(
            f"Lesson {number}: {len(runs)} runs, median {statistics.median(runs):.0f} s, slowest {max(runs):.0f} s."
        )
    if waits := [wait for one in told for wait in one.waits]:
        print(f"Nodes waited for: median {statistics.median(waits):.1f} s, longest {max(waits):.1f} s.")
    for label in sorted({label for one in told for label in one.nodes}):
        print(f"{sum(one.nodes.count(label) for one in told)} runs had {label}.")


if __name__ == "__main__":
    sys.exit(main())
