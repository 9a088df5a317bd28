"""The kernel of `hpclab lab` and `hpclab rehearse`: IPython's own, in this Python.

It looks for modules in the notebook's folder last, so that no file there keeps it from starting or is
imported in place of a package (see `search_path`).
"""

import sys

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager


class Kernels(KernelSpecManager):
    """The kernels that Jupyter finds, but `python3` is this one, whatever a user installed so named."""

    def find_kernel_specs(self) -> dict[str, str]:
        return super().find_kernel_specs() | {NATIVE_KERNEL_NAME: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name != NATIVE_KERNEL_NAME:
            return super().get_kernel_spec(kernel_name)
        words = [sys.executable, "-P", "-m", "hpclab.cli.kernel", "-f", "{connection_file}"]
        return KernelSpec(resource_dir=RESOURCES, **(get_kernel_dict() | {"argv": words}))


class KernelApp(IPKernelApp):
    def init_path(self) -> None:
        if not self.ignore_cwd:
            sys.path.append("")


if __name__ == "__main__":
    KernelApp.launch_instance()
