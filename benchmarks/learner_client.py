"""Drive a JupyterHub as a learner's browser does: log in, start a server, run notebooks."""

import contextlib
import json
import time
import uuid

import requests
import websocket


class Learner:
    """A learner, logged in at `hub` with a token for their own server; PermissionError if that is refused."""

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
        """Send `content` as JSON and return that of the response; requests.HTTPError where it is refused."""
        asked = {} if "Authorization" in self.http.headers else {"_xsrf": self._xsrf()}
        said = self.http.request(method, f"{self.hub}/{path}", params=asked, json=content, timeout=120)
        said.raise_for_status()
        return said.json() if said.content else None

    def spawn(self, limit: float = 600) -> None:
        """Start the server and wait until it is ready; TimeoutError after `limit` seconds."""
        with contextlib.suppress(requests.HTTPError):  # another learner of this server was first
            self.call("POST", f"hub/api/users/{self.name}/server", {})
        deadline = time.monotonic() + limit
        while True:
            server = self.call("GET", f"hub/api/users/{self.name}")["servers"].get("")
            if server and server["ready"]:
                return
            if not server or time.monotonic() > deadline:
                raise TimeoutError("the server did not start")
            time.sleep(2)

    def stop(self) -> None:
        self.call("DELETE", f"hub/api/users/{self.name}/server")

    def run(self, notebook: str, seat: int, asked: dict[str, str]) -> dict[str, object]:
        """Run a notebook's code cells in a new kernel, then return the values of the expressions `asked`;
        RuntimeError names the cell that failed."""
        user = f"user/{self.name}/api"
        model = {"path": f"{notebook}-{seat}", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        cells = self.call("GET", f"{user}/contents/{notebook}")["content"]["cells"]
        session = self.call("POST", f"{user}/sessions", model)
        try:
            address = f"{self.hub}/{user}/kernels/{session['kernel']['id']}/channels"
            channel = websocket.create_connection(
                address.replace("http", "ws", 1), header=[f"Authorization: token {self.token}"], timeout=900
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
    """Run `code` in a kernel until it is idle; return the values of the expressions `asked`, by name."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "date": "",
              "session": uuid.uuid4().hex, "version": "5.3"}  # fmt: skip
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
