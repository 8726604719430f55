"""A front of Google's emulator that has what the emulator lacks of the XML interface, and enforces who may ask.

The emulator reads, lists and deletes by the XML interface, which obstore speaks, but takes writes by the
JSON one only. Here a PUT and a multipart upload of the XML interface become one JSON upload, and a request
passes only with the token of the tests or with an address that the tests' service account signed (V4): so a
test sees an altered or expired address refused, as Google would. Parts are held in memory until completed.
"""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from io import BytesIO
from urllib.parse import parse_qsl, quote, unquote
from xml.etree import ElementTree

import aiohttp
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from modelyard_stack.ports import HOST, free_ports
from yarl import URL

TOKEN = "emulator"
"""What the registry shows to a storage without TLS."""
SIGNED_HOST = "storage.googleapis.com"
"""obstore signs Google's own name, at whatever address the storage is."""
KEPT_HEADERS = ("content-length", "content-range", "content-type", "etag", "last-modified")
BODY_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account that exists in the tests only."""

    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    )

    @property
    def key_file(self) -> str:
        """What Google gives out as the account's key, in JSON."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "tests@project.iam.gserviceaccount.com",
                "private_key_id": "1",
                "private_key": pem.decode(),
            }
        )

    def has_signed(self, request: web.Request) -> bool:
        """Whether the address is one of ours, unchanged, and still good."""
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        try:
            signature = bytes.fromhex(query.pop("X-Goog-Signature"))
            begun = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            if datetime.now(UTC) > begun + timedelta(seconds=int(query["X-Goog-Expires"])):
                return False
            scope = query["X-Goog-Credential"].partition("/")[2]
            canonical = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
            path = quote(unquote(request.rel_url.raw_path))
            asked = f"{request.method}\n{path}\n{canonical}\nhost:{SIGNED_HOST}\n\nhost\nUNSIGNED-PAYLOAD"
            signed = f"GOOG4-RSA-SHA256\n{query['X-Goog-Date']}\n{scope}\n{sha256(asked.encode()).hexdigest()}"
            self.key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (KeyError, ValueError, InvalidSignature):
            return False
        return True


class Front:
    """Translates for one emulator."""

    def __init__(self, emulator: str, *, account: ServiceAccount, session: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self._account = account
        self._session = session
        self._uploads: dict[str, dict[int, bytes]] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Refuse, translate or pass on."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}" and not self._account.has_signed(request):
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        query = request.query
        match request.method:
            case "POST" if "uploads" in query:
                return self._begin()
            case "PUT" if "partNumber" in query:
                return await self._take(request, self._uploads.get(query["uploadId"]))
            case "POST" if "uploadId" in query:
                return await self._complete(request)
            case "DELETE" if "uploadId" in query:
                self._uploads.pop(query["uploadId"], None)
                return web.Response(status=204)
            case "PUT":
                return await self._insert(request, await request.read())
            case _:
                return await self._pass_on(request)

    def _begin(self) -> web.Response:
        upload_id = uuid.uuid4().hex
        self._uploads[upload_id] = {}
        return _xml("InitiateMultipartUploadResult", UploadId=upload_id)

    async def _take(self, request: web.Request, parts: dict[int, bytes] | None) -> web.Response:
        if parts is None:
            return _no_such_upload()
        content = await request.read()
        parts[int(request.query["partNumber"])] = content
        return web.Response(headers={"etag": _etag(content)})

    async def _complete(self, request: web.Request) -> web.Response:
        parts = self._uploads.get(request.query["uploadId"])
        if parts is None:
            return _no_such_upload()
        named = [
            (int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag", ""))
            for part in ElementTree.fromstring(await request.text()).iterfind("{*}Part")
        ]
        if named != [(number, _etag(parts[number])) for number in sorted(parts)]:
            return web.Response(status=400, text="<Error><Code>InvalidPart</Code></Error>")
        inserted = await self._insert(request, b"".join(parts[number] for number, _ in named))
        if inserted.status == 200:
            del self._uploads[request.query["uploadId"]]
            return _xml("CompleteMultipartUploadResult", ETag=inserted.headers["etag"])
        return inserted

    async def _insert(self, request: web.Request, content: bytes) -> web.Response:
        bucket, _, name = unquote(request.rel_url.raw_path).removeprefix("/").partition("/")
        url = f"{self._emulator}/upload/storage/v1/b/{bucket}/o"
        query = {"uploadType": "media", "name": name}
        async with self._session.post(url, params=query, data=BytesIO(content)) as answer:
            if answer.status != 200:
                return web.Response(status=answer.status, text=await answer.text())
            return web.Response(headers={"etag": (await answer.json())["etag"]})

    async def _pass_on(self, request: web.Request) -> web.Response:
        url = URL(f"{self._emulator}{request.raw_path}", encoded=True)
        headers = {name: request.headers[name] for name in ("range",) if name in request.headers}
        async with self._session.request(request.method, url, headers=headers) as answer:
            kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


@asynccontextmanager
async def google_front(emulator: str, *, account: ServiceAccount) -> AsyncIterator[str]:
    """The address of a front of the emulator."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    async with aiohttp.ClientSession() as session:
        app.router.add_route("*", "/{path:.*}", Front(emulator, account=account, session=session).answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            [port] = free_ports(1)
            await web.TCPSite(runner, HOST, port).start()
            yield f"http://{HOST}:{port}"
        finally:
            await runner.cleanup()


def _xml(name: str, **fields: str) -> web.Response:
    root = ElementTree.Element(name)
    for field_name, text in fields.items():
        ElementTree.SubElement(root, field_name).text = text
    return web.Response(body=ElementTree.tostring(root), content_type="application/xml")


def _no_such_upload() -> web.Response:
    return web.Response(status=404, text="<Error><Code>NoSuchUpload</Code></Error>")


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'
