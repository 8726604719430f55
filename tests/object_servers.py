"""Object storage for tests: an S3 gateway that enforces signatures and checksums, and Google's and Azure's emulators.

None of them comes with a Python package, so a test that needs one is skipped, with the command that
installs it, where it is not there. They are looked for in PATH and in `modelyard/bin` of the user's caches.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from modelyard_stack.ports import HOST, free_ports

from tests.google_storage import ServiceAccount, google_front

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

INSTALL = {
    "versitygw": "GOBIN=~/.cache/modelyard/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "fake-gcs-server": "GOBIN=~/.cache/modelyard/bin go install github.com/fsouza/fake-gcs-server@v1.56.1",
    "azurite-blob": "npm install --prefix ~/.cache/modelyard/azurite azurite@3.35.0",
}
S3_ACCESS, S3_SECRET, REGION = "tester", "a-secret-of-the-tests", "us-east-1"
# The emulator's well-known account, which its documentation gives.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_TIMEOUT_S = 60
AZURE_VERSION = "2021-12-02"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectServer:
    """A running server, and a bucket (or container) in it that no other test has."""

    endpoint: str
    bucket: str
    environment: Mapping[str, str]


def program(name: str) -> str:
    """The path of a server's program; skips the test where it is not installed."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modelyard"
    places = [caches / "bin" / name, caches / "azurite" / "node_modules" / ".bin" / name]
    found = shutil.which(name) or next((str(place) for place in places if place.exists()), None)
    if found is None:
        pytest.skip(f"{name} is not installed: {INSTALL[name]}")
    return found


@pytest.fixture(scope="session")
async def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an S3 gateway over a directory."""
    [port] = free_ports(1)
    directory = tmp_path_factory.mktemp("s3")
    (directory / "attributes").mkdir()
    (directory / "buckets").mkdir()
    arguments = ["--port", f"{HOST}:{port}", "--access", S3_ACCESS, "--secret", S3_SECRET, "--region", REGION]
    backend = ["posix", "--sidecar", str(directory / "attributes"), str(directory / "buckets")]
    async with _running([program("versitygw"), "--quiet", *arguments, *backend], port=port):
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="session")
async def gcs_emulator() -> AsyncIterator[str]:
    """The address of an emulator of Google Cloud Storage, for what only an administrator does."""
    [port] = free_ports(1)
    address = f"http://{HOST}:{port}"
    arguments = ["-scheme", "http", "-host", HOST, "-port", str(port), "-backend", "memory", "-log-level", "error"]
    public = ["-external-url", address, "-public-host", f"{HOST}:{port}"]
    async with _running([program("fake-gcs-server"), *arguments, *public], port=port):
        yield address


@pytest.fixture(scope="session")
def gcs_account() -> ServiceAccount:
    """Whose signatures the emulator's front takes."""
    return ServiceAccount()


@pytest.fixture(scope="session")
async def gcs_endpoint(gcs_emulator: str, gcs_account: ServiceAccount) -> AsyncIterator[str]:
    """The address of the emulator's front, as the registry and its clients know it."""
    async with google_front(gcs_emulator, account=gcs_account) as address:
        yield address


@pytest.fixture(scope="session")
async def azure_endpoint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an emulator of Azure Blob, with its account."""
    [port] = free_ports(1)
    place = ["--location", str(tmp_path_factory.mktemp("azure")), "--silent", "--skipApiVersionCheck"]
    arguments = ["--blobHost", HOST, "--blobPort", str(port), *place, "--disableTelemetry"]
    async with _running([program("azurite-blob"), *arguments], port=port):
        yield f"http://{HOST}:{port}/{AZURE_ACCOUNT}"


@pytest.fixture
async def s3_server(s3_endpoint: str) -> ObjectServer:
    """The gateway with an empty bucket."""
    environment = {"AWS_ACCESS_KEY_ID": S3_ACCESS, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_REGION": REGION}
    server = ObjectServer(endpoint=s3_endpoint, bucket=_new_bucket(), environment=environment)
    async with s3_client(server) as client:
        await client.create_bucket(Bucket=server.bucket)
    return server


@pytest.fixture
async def gcs_server(gcs_endpoint: str, gcs_emulator: str, gcs_account: ServiceAccount) -> ObjectServer:
    """Google's emulator with an empty bucket."""
    environment = {"GOOGLE_SERVICE_ACCOUNT_KEY": gcs_account.key_file}
    server = ObjectServer(endpoint=gcs_endpoint, bucket=_new_bucket(), environment=environment)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gcs_emulator}/storage/v1/b", params={"project": "p"}, json={"name": server.bucket}) as answer,
    ):
        assert answer.status == 200, await answer.text()
    return server


@pytest.fixture
async def azure_server(azure_endpoint: str) -> ObjectServer:
    """Azure's emulator with an empty container."""
    environment = {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
    server = ObjectServer(endpoint=azure_endpoint, bucket=_new_bucket(), environment=environment)
    async with (
        aiohttp.ClientSession() as session,
        session.put(
            f"{azure_endpoint}/{server.bucket}",
            params={"restype": "container"},
            headers=_azure_headers(f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{server.bucket}\nrestype:container"),
        ) as answer,
    ):
        assert answer.status == 201, await answer.text()
    return server


def s3_client(server: ObjectServer) -> "AbstractAsyncContextManager[S3Client]":
    """An administrator's client of the gateway, which may do what callers of the registry cannot."""
    import aioboto3  # Half a second that only tests of S3 have to wait.

    return aioboto3.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=S3_ACCESS,
        aws_secret_access_key=S3_SECRET,
    )


def _new_bucket() -> str:
    return f"bucket-{uuid.uuid4().hex[:12]}"


def _azure_headers(resource: str) -> dict[str, str]:
    """What a PUT without a body needs to be taken for the account's own (Shared Key authorisation)."""
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    signed = (
        f"PUT\n\n\n\n\napplication/octet-stream\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{AZURE_VERSION}\n{resource}"
    )
    signature = hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    return {
        "authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(signature).decode()}",
        "content-type": "application/octet-stream",
        "x-ms-date": date,
        "x-ms-version": AZURE_VERSION,
    }


@asynccontextmanager
async def _running(command: Sequence[str], *, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _answers(port):
                assert process.returncode is None, f"{command[0]} ended while it started"
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
