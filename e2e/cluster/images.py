"""The images, built here: a base from Debian packages under the Dockerfile's tag, then the Dockerfile itself.

No registry is asked for an image. Everything dear lies in the cache: the layers, and one archive an image,
named by a hash of all that went into it, so that an unchanged image costs nothing.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster import runtime
from cluster.paths import DATA, REPOSITORY, cache
from lib.proc import run, succeeds

VERSION = "0.1.0"
SUITE = "trixie"
BASE = f"docker.io/library/debian:{SUITE}-slim"
# What makes Debian's own image slim: no documentation, and no downloaded packages left in a layer.
CLEAN_APT = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
BASE_OPTIONS = (
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    f"--customize-hook=cat > \"$1/etc/apt/apt.conf.d/docker-clean\" <<'end'\n{CLEAN_APT}end",
    '--customize-hook=rm -f "$1"/var/cache/apt/*.bin',
)
# Every build leaves layers behind, for the next one to start from.
STORAGE_LIMIT_MIB = 12 * 1024
BASE_TIMEOUT_S = 15 * 60
BUILD_TIMEOUT_S = 30 * 60
COMMON = ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "lb_image/api/src")
CA_INSIDE = "/run/build-ca.crt"
# Where a machine keeps the certificates that it trusts; its proxies' may be among them.
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX")


@dataclass(frozen=True)
class Image:
    """One image: what builds it and every path that decides its content, relative to the repository."""

    name: str
    context: str
    inputs: tuple[str, ...]
    target: str | None = None

    @property
    def reference(self) -> str:
        return f"docker.io/skylane/{self.name}:{VERSION}"

    @property
    def content_tag(self) -> str:
        """The tag that changes with the content: what makes Kubernetes replace pods of an older build."""
        return f"{VERSION}-{digest_of(self)[:12]}"

    def files(self) -> Iterator[Path]:
        """Every file that goes in, relative to the repository, in a fixed order."""
        for path in self.inputs:
            if (REPOSITORY / path).is_file():
                yield Path(path)
            else:
                yield from sorted(_sources(Path(path)))


@functools.cache
def digest_of(image: Image) -> str:
    """A hash of all that goes into the image; asked once a process, so that one run never names two builds."""
    digest = hashlib.sha256(f"{image.target}\n{_base_digest()}\n".encode())
    for file in image.files():
        digest.update(f"{file}\n".encode())
        digest.update((REPOSITORY / file).read_bytes())
    return digest.hexdigest()


OPERATOR = Image("operator", ".", (*COMMON, "operator/src"), "operator")
LB = Image("lb", ".", (*COMMON, "lb_image/agent/src", "lb_image/bird", "lb_image/forwarder"), "lb")
ECHO = Image("echo", "e2e/echo", ("e2e/echo",))
IMAGES = (OPERATOR, LB, ECHO)


def build(images: Iterable[Image] = IMAGES) -> list[Path]:
    """Docker archives of the images, in the same order; what is unchanged is found, not built.

    Raises:
        CommandError: a build failed; the message carries the end of its output.

    """
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [_archive(image) for image in images]


def load(images: Iterable[Image] = IMAGES) -> None:
    """Build the images and give them to the cluster's containerd, under version and content tag."""
    images = list(images)
    for image, archive in zip(images, build(images), strict=True):
        # Of this cluster's life only: `down` deletes it together with containerd's storage.
        stamp = DATA / "images" / archive.name
        if stamp.exists():
            continue
        runtime.import_image(archive)
        tagged = image.reference.replace(f":{VERSION}", f":{image.content_tag}")
        run(*runtime.ctr("images", "tag", "--force", image.reference, tagged))
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()


def sizes() -> dict[str, int]:
    """Bytes of each built image's archive, which is not compressed."""
    return {image.name: archive.stat().st_size for image, archive in zip(IMAGES, build(), strict=True)}


def _sources(folder: Path) -> Iterator[Path]:
    """Files under a folder of the repository that a build can see (see .dockerignore)."""
    for file in (REPOSITORY / folder).rglob("*"):
        relative = file.relative_to(REPOSITORY)
        generated = "__pycache__" in relative.parts
        if file.is_file() and not generated and not relative.is_relative_to("lb_image/forwarder/tests"):
            yield relative


def _archive(image: Image) -> Path:
    archive = _folder() / f"{image.name}-{digest_of(image)[:16]}.tar"
    if archive.exists():
        return archive
    _bound_storage()
    _ensure_base()
    _build(image)
    for outdated in _folder().glob(f"{image.name}-*.tar*"):
        outdated.unlink()
    partial = archive.with_suffix(".tar.part")
    _buildah("push", "--quiet", image.reference, f"docker-archive:{partial}:{image.reference}")
    partial.rename(archive)
    return archive


def _build(image: Image) -> None:
    context = REPOSITORY / image.context
    command = [
        "bud",
        "--layers",
        "--pull=never",
        "--isolation=chroot",
        "--network=host",
        f"--tag={image.reference}",
    ]
    if image.target is not None:
        command.append(f"--target={image.target}")
    _buildah(*command, *_host_settings(), context, timeout_s=BUILD_TIMEOUT_S)


def _host_settings() -> list[str]:
    """Options that lend the machine's CA bundle and package index to the build stages, and to no image."""
    files = [Path(os.environ[name]) for name in CA_VARIABLES if os.environ.get(name)]
    bundle = next((file for file in [*files, CA_FILE] if file.is_file()), None)
    options = []
    if bundle is not None:
        options.append(f"--volume={bundle.resolve()}:{CA_INSIDE}:ro")
        options += [f"--build-arg={name}={CA_INSIDE}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
    options += [f"--build-arg={name}" for name in INDEX_VARIABLES if os.environ.get(name)]
    return options


def _ensure_base() -> None:
    """Have the base image under the name that the Dockerfiles say, made from Debian packages."""
    if succeeds(*_words("inspect", "--type=image", BASE)):
        return
    root = _folder() / "base.tar"
    run("mmdebstrap", "--quiet", *BASE_OPTIONS, SUITE, root, *_mirror(), timeout_s=BASE_TIMEOUT_S)
    container = _buildah("from", "scratch").strip()
    _buildah("add", "--quiet", container, root)
    _buildah("config", "--cmd=bash", container)
    _buildah("commit", "--quiet", "--rm", container, BASE)
    root.unlink()


def _base_digest() -> str:
    return hashlib.sha256("\n".join([BASE, *BASE_OPTIONS]).encode()).hexdigest()[:16]


def _bound_storage() -> None:
    """Remove layers on a base that was made in another way, and all of them when they have grown too many."""
    for folder in _folder().glob("storage-*"):
        mebibytes = int(run("du", "-s", "-m", folder, timeout_s=60).split()[0])
        if folder != _storage() or mebibytes > STORAGE_LIMIT_MIB:
            shutil.rmtree(folder)


def _mirror() -> list[str]:
    """The Debian mirror that this machine itself uses; nothing: mmdebstrap's default."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    found = re.search(r"^[^#\n]*?(https?://\S+/debian)/?(?=\s)", text, re.MULTILINE)
    return [found[1]] if found else []


def _buildah(*arguments: str | Path, timeout_s: float = 600) -> str:
    return run(*_words(*arguments), timeout_s=timeout_s)


def _words(*arguments: str | Path) -> list[str]:
    """Words of a buildah command on a storage of our own; none of its mounts outlives it."""
    storage = [f"--root={_storage()}", f"--runroot={_folder()}/run"]
    return ["unshare", "--mount", "buildah", *storage, *(str(word) for word in arguments)]


def _storage() -> Path:
    return _folder() / f"storage-{_base_digest()}"


def _folder() -> Path:
    return cache() / "images"
