"""Sets up all that `make corpus` and `make test` need; says what it did; does nothing twice.

Needs Python and the standard library only. What it brings: uv, a virtual environment in
`.venv`, the locked packages, a PyTorch build that suits the machine, a headless Chromium,
fonts, LaTeXML. System packages come from apt where the user may install them, else the
command to run is printed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PRIVATE = ROOT / ".setup"
STAMP = VENV / "set-up-complete"

UV_VERSION = "0.13.9"
_FILES = "https://files.pythonhosted.org/packages/"
#: uv's wheel for machines that have neither uv nor pip: address and SHA-256.
UV_WHEELS = {
    "x86_64": (
        _FILES + "3d/aa/26d64642d808de4a652579ef950d7cd2d37f080a8babf9c67c6b75fc4c3f/"
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    "aarch64": (
        _FILES + "fe/2f/51a5de367c602592c018a42a23d57fba5f2689fe6c3bf025dcf043b39c61/"
        "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> None:
    """Bring the machine to where every command of the README works."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    uv = find_uv()
    install_packages(uv)
    missing = install_system_packages()
    browser = find_browser()
    if browser is None:
        browser = download_browser()
    say(f"browser: {browser}")
    STAMP.write_text(wanted)
    if missing:
        say(f"not installed (no root here): {' '.join(missing)}")
        say(f"  to have them: sudo apt-get install -y --no-install-recommends {' '.join(missing)}")
    say("done; `.venv/bin/dsvl-data doctor` tells what is present")


def say(message: str) -> None:
    """Tell the user one thing."""
    print(f"setup: {message}", flush=True)


def fail(message: str) -> None:
    """Tell the user what stops the set-up, and end."""
    raise SystemExit(f"setup: {message}")


def fingerprint() -> str:
    """Hash of everything that decides what a complete set-up is."""
    state = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "requirements.lock", "scripts/setup.py"):
        state.update((ROOT / name).read_bytes())
    return state.hexdigest()


def find_uv() -> str:
    """Return uv: the user's own, one fetched before, or a fresh one."""
    private = PRIVATE / "uv"
    if private.is_file():
        return str(private)
    uv = shutil.which("uv")
    if uv and subprocess.run([uv, "--version"], capture_output=True).returncode == 0:
        say(f"uv: {uv}")
        return uv
    address, digest = UV_WHEELS.get(platform.machine(), (None, None))
    if address is None:
        fail(f"no uv for {platform.machine()}: install it (https://docs.astral.sh/uv) and retry")
    say(f"uv: fetching {UV_VERSION} from PyPI")
    try:
        with urllib.request.urlopen(address, timeout=120) as answer:  # noqa: S310
            wheel = answer.read()
    except OSError as error:
        fail(f"cannot fetch uv ({error}); with a proxy or mirror, install uv yourself and retry")
    if hashlib.sha256(wheel).hexdigest() != digest:
        fail("the uv that was fetched is not the one expected (SHA-256 differs)")
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        binary = archive.read(f"uv-{UV_VERSION}.data/scripts/uv")
    PRIVATE.mkdir(exist_ok=True)
    temporary = PRIVATE / "uv.part"
    temporary.write_bytes(binary)
    temporary.chmod(0o755)
    temporary.replace(private)
    return str(private)


def install_packages(uv: str) -> None:
    """Make `.venv` with torch, the locked packages and this project in editable form."""
    environment = dict(os.environ)
    # pip's users know PIP_FIND_LINKS; uv reads another name.
    links = environment.get("UV_FIND_LINKS") or environment.get("PIP_FIND_LINKS", "")
    environment["UV_FIND_LINKS"] = ",".join(links.replace(",", " ").split())
    environment["VIRTUAL_ENV"] = str(VENV)

    def run(*arguments: str, check: bool = True) -> bool:
        result = subprocess.run([uv, *arguments], env=environment, cwd=ROOT, check=False)
        if check and result.returncode != 0:
            fail(f"`uv {' '.join(arguments)}` failed; see its message above")
        return result.returncode == 0

    interpreter = sys.executable if sys.version_info >= (3, 11) else ">=3.11"
    run("venv", "--quiet", "--allow-existing", "--python", interpreter, str(VENV))
    say("packages: installing (first time: about 1 GB)")
    torch = next(
        line.strip().strip('",')
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.strip().startswith('"torch==')
    )
    install = ("pip", "install", "--quiet")
    if torch_in(environment["UV_FIND_LINKS"]) or shutil.which("nvidia-smi"):
        run(*install, torch)
    elif not run(*install, torch, "--index-url", TORCH_CPU_INDEX, check=False):
        say("torch: the CPU index is out of reach; taking PyPI's build, several GB")
        run(*install, torch)
    run(*install, "--no-deps", "--require-hashes", "-r", "requirements.lock")
    run(*install, "--no-deps", "-e", ".")


def torch_in(links: str) -> bool:
    """Say whether a folder of `links` offers a torch wheel for CPUs."""
    folders = [Path(folder) for folder in links.split(",") if folder]
    return any(True for folder in folders for _ in folder.glob("torch-*+cpu-*.whl"))


def has_chinese_font() -> bool:
    """Say whether fontconfig knows a font that covers Chinese."""
    if shutil.which("fc-list") is None:
        return False
    listed = subprocess.run(["fc-list", ":lang=zh-cn", "family"], capture_output=True)
    return bool(listed.stdout.strip())


def install_system_packages() -> list[str]:
    """Install with apt what is missing; return the names of what could not be installed."""
    wanted = []
    # Ubuntu's chromium package is a stub for snap, which needs a daemon: Playwright's build there.
    if find_browser() is None and not is_ubuntu():
        wanted.append("chromium-headless-shell")
    if not has_chinese_font():
        wanted += ["fontconfig", "fonts-noto-cjk"]
    if not Path("/usr/share/fonts/truetype/noto/NotoSerif-Regular.ttf").is_file():
        wanted.append("fonts-noto-core")
    if not Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").is_file():
        wanted.append("fonts-dejavu")
    if shutil.which("latexml") is None:
        wanted.append("latexml")
    if not has_tex_file("lstlang1.sty"):  # LaTeXML reads the languages of code listings from it
        wanted.append("texlive-latex-recommended")
    if not driver_runs():
        wanted.append("libatomic1")
    if not wanted:
        return []
    apt = privileged("apt-get")
    if apt is None:
        return wanted
    say(f"apt: installing {' '.join(wanted)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update", "-qq"], env=quiet, check=False)
    command = [*apt, "install", "-y", "-qq", "--no-install-recommends", *wanted]
    result = subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)
    return [] if result.returncode == 0 else wanted


def has_tex_file(name: str) -> bool:
    """Say whether the TeX system has a file."""
    if shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", name], capture_output=True).returncode == 0


def driver_runs() -> bool:
    """Say whether Playwright's Node.js starts; a minimal Debian lacks a library of its."""
    for node in VENV.glob("lib/python*/site-packages/playwright/driver/node"):
        return subprocess.run([node, "--version"], capture_output=True).returncode == 0
    return False


def is_ubuntu() -> bool:
    """Say whether this is Ubuntu."""
    release = Path("/etc/os-release")
    return release.is_file() and "ID=ubuntu" in release.read_text().splitlines()


def privileged(program: str) -> list[str] | None:
    """Return how to run `program` as root without a question, or None."""
    path = shutil.which(program)
    if path is None:
        return None
    if os.geteuid() == 0:
        return [path]
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n", path]
    return None


def find_browser() -> str | None:
    """Return the browser that dsvl-data would use, asking its own code once it is installed."""
    python = VENV / "bin" / "python"
    question = "from dsvl_data.render.browser import find_browser; print(find_browser() or '')"
    answer = subprocess.run([python, "-c", question], capture_output=True, text=True, cwd=ROOT)
    if answer.returncode != 0:
        fail(f"the installed packages do not import:\n{answer.stderr}")
    return answer.stdout.strip() or None


def download_browser() -> str:
    """Fetch Playwright's own headless Chromium."""
    command = [str(VENV / "bin" / "playwright"), "install", "chromium", "--only-shell"]
    if privileged("apt-get") is not None:
        command.append("--with-deps")  # its shared libraries, through apt
    say("browser: fetching Playwright's Chromium")
    subprocess.run(command, check=False)
    browser = find_browser()
    if browser is None:
        fail(
            "no Chromium here and none could be fetched: install one "
            "(Debian: apt-get install chromium-headless-shell) or set DSVL_BROWSER, then retry"
        )
    return str(browser)


if __name__ == "__main__":
    main()
