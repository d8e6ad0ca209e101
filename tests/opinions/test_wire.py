"""One request at a time to our emulated storage and to an implementation that is not ours: status and code.

`expected` is the vendor's document. Where the other implementation differs from it, its answer stands
beside it with the document's name; ours never differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.desired.model import Bucket, DesiredState, Grant
from emulator.services.identity import Identities
from skyfleet.objects import CloudBucket, Found
from tests.opinions.servers import (
    Store,
    amazon,
    azurite_store,
    caller,
    emulator_of,
    emulator_store,
    fake_gcs_store,
    moto_store,
)

pytestmark = pytest.mark.xdist_group("opinions")

BODY = b"0123456789"
OTHER_TAG = '"0x1"'
Pair = tuple[Store, Store]  # theirs, ours


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with moto_store() as theirs, emulator_store("aws", tmp_path_factory.mktemp("s3")) as ours:
        yield theirs, ours


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with azurite_store() as theirs, emulator_store("azure", tmp_path_factory.mktemp("blobs")) as ours:
        yield theirs, ours


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with fake_gcs_store() as theirs, emulator_store("gcp", tmp_path_factory.mktemp("gcs")) as ours:
        yield theirs, ours


def amazons_answer(store: Store, operation: str, **asked: Any) -> tuple[int, str]:  # noqa: ANN401 - JSON
    """Status and code that Amazon's own client sees. The bucket has one object, `there`."""
    client = amazon("s3", store.base, store.environ)
    client.put_object(Bucket="bkt", Key="there", Body=BODY)
    if asked.get("IfNoneMatch") == "its tag":
        asked["IfNoneMatch"] = client.head_object(Bucket="bkt", Key="there")["ETag"]
    try:
        reply = getattr(client, operation)(**{"Bucket": "bkt", **asked})
    except ClientError as error:
        told: Mapping[str, Any] = error.response
        return int(told["ResponseMetadata"]["HTTPStatusCode"]), str(told["Error"].get("Code"))
    return int(reply["ResponseMetadata"]["HTTPStatusCode"]), ""


S3_ROWS: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    ("get_object", {"Key": "none"}, (404, "NoSuchKey")),
    ("head_object", {"Key": "none"}, (404, "404")),
    ("get_object", {"Key": "there", "IfNoneMatch": "its tag"}, (304, "304")),
    ("head_object", {"Key": "there", "IfNoneMatch": "its tag"}, (304, "304")),
    ("get_object", {"Key": "there", "IfMatch": OTHER_TAG}, (412, "PreconditionFailed")),
    ("get_object", {"Key": "there", "Range": "bytes=20-30"}, (416, "InvalidRange")),
    ("get_object", {"Key": "there", "Range": "bytes=5-100"}, (206, "")),
    ("put_object", {"Key": "there", "IfNoneMatch": "*"}, (412, "PreconditionFailed")),
    ("put_object", {"Key": "there", "IfMatch": OTHER_TAG}, (412, "PreconditionFailed")),
    ("put_object", {"Key": "none", "IfMatch": OTHER_TAG}, (404, "NoSuchKey")),
    ("delete_object", {"Key": "there", "IfMatch": OTHER_TAG}, (412, "PreconditionFailed")),
    ("delete_object", {"Key": "none"}, (204, "")),
    ("list_objects_v2", {"Bucket": "nobucket"}, (404, "NoSuchBucket")),
    ("put_object", {"Bucket": "nobucket", "Key": "a"}, (404, "NoSuchBucket")),
    ("get_object", {"Bucket": "nobucket", "Key": "a"}, (404, "NoSuchBucket")),
]


@pytest.mark.parametrize(("operation", "asked", "expected"), S3_ROWS)
def test_s3_answers_as_its_reference_says(
    s3: Pair, operation: str, asked: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Amazon's own client sees the same of moto and of us."""
    theirs, ours = s3
    assert amazons_answer(theirs, operation, **asked) == expected
    assert amazons_answer(ours, operation, **asked) == expected


def test_a_listing_of_s3_goes_on_where_its_page_ended(s3: Pair) -> None:
    """Amazon's own client collects the same names over pages of two, with and without a delimiter."""
    found: list[list[list[str]]] = []
    for store in s3:
        client = amazon("s3", store.base, store.environ)
        for key in ("a", "b/1", "b/2", "c/1", "d"):
            client.put_object(Bucket="bkt", Key=f"listed/{key}", Body=b"1")
        pages = client.get_paginator("list_objects_v2")
        size = {"PageSize": 2}
        own: list[list[str]] = []
        for more in ({}, {"Delimiter": "/"}):
            told = list(pages.paginate(Bucket="bkt", Prefix="listed/", PaginationConfig=size, **more))
            assert [page["KeyCount"] for page in told[:-1]] == [2] * (len(told) - 1)
            keys = [each["Key"] for page in told for each in page.get("Contents", [])]
            groups = [each["Prefix"] for page in told for each in page.get("CommonPrefixes", [])]
            own.append(sorted(keys + groups))
        found.append(own)
    assert found[0] == found[1]
    assert [len(names) for names in found[1]] == [5, 4]


@dataclass(frozen=True)
class Row:
    """One request. tag: a header that gets the object's tag. theirs: where the other one differs."""

    method: str
    path: str
    expected: tuple[int, str]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    tag: str = ""
    theirs: tuple[int, str] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.headers)} {self.tag}"


BLOB = {"x-ms-blob-type": "BlockBlob"}
NOT_MET, MISSING = (412, "ConditionNotMet"), (404, "BlobNotFound")
BLOB_ROWS = [
    Row("GET", "/container/none", MISSING),
    Row("HEAD", "/container/none", MISSING),
    Row("GET", "/container/there", (304, "ConditionNotMet"), tag="if-none-match"),
    Row("HEAD", "/container/there", (304, "ConditionNotMet"), tag="if-none-match"),
    Row("GET", "/container/there", NOT_MET, {"if-match": OTHER_TAG}),
    Row("GET", "/container/there", (206, ""), {"range": "bytes=2-4"}),
    Row("GET", "/container/there", (206, ""), {"x-ms-range": "bytes=2-4"}),
    Row("GET", "/container/there", (206, ""), {"range": "bytes=20-30", "x-ms-range": "bytes=2-4"}),
    Row("GET", "/container/there", (416, "InvalidRange"), {"range": "bytes=20-30"}),
    Row("PUT", "/container/there", (409, "BlobAlreadyExists"), {**BLOB, "if-none-match": "*"}),
    Row("PUT", "/container/there", NOT_MET, BLOB, tag="if-none-match"),
    Row("PUT", "/container/there", NOT_MET, {**BLOB, "if-match": OTHER_TAG}),
    Row("PUT", "/container/there", (201, ""), {**BLOB, "if-match": "*"}),
    Row("PUT", "/container/there", (201, ""), BLOB, tag="if-match"),
    Row("PUT", "/container/none", NOT_MET, {**BLOB, "if-match": OTHER_TAG}),
    # specifying-conditional-headers: the wildcard performs the operation only if the resource exists.
    Row("PUT", "/container/none", NOT_MET, {**BLOB, "if-match": "*"}, theirs=(201, "")),
    # put-blob: the header is required; common-rest-api-error-codes names the code, Azurite gives none.
    Row("PUT", "/container/none", (400, "MissingRequiredHeader"), theirs=(400, "")),
    Row("DELETE", "/container/there", NOT_MET, {"if-match": OTHER_TAG}),
    Row("DELETE", "/container/none", MISSING),
    Row("GET", "/nothing/there", (404, "ContainerNotFound")),
    Row("PUT", "/nothing/there", (404, "ContainerNotFound"), BLOB),
    Row("GET", "/nothing?comp=list&restype=container", (404, "ContainerNotFound")),
]


@pytest.mark.parametrize("row", BLOB_ROWS, ids=str)
def test_blob_storage_answers_as_its_reference_says(blobs: Pair, row: Row) -> None:
    """Azurite and ours give the status and the code of the document."""
    theirs, ours = (blob_answer(store, row) for store in blobs)
    assert ours == row.expected
    assert theirs == (row.theirs or row.expected)


def blob_answer(store: Store, row: Row) -> tuple[int, str]:
    """The container has one blob, `there`."""
    store.request("DELETE", "/container/none")
    tag = store.request("PUT", "/container/there", BLOB, BODY).headers["etag"]
    headers = {**row.headers, row.tag: tag} if row.tag else row.headers
    reply = store.request(row.method, row.path, headers, b"1" if row.method == "PUT" else b"")
    return reply.status_code, reply.headers.get("x-ms-error-code", "")


def test_a_listing_of_blobs_goes_on_at_its_marker(blobs: Pair) -> None:
    """Pages of two have the same names in both."""
    found: list[list[str]] = []
    for store in blobs:
        for key in ("a", "b/1", "b/2", "c/1", "d"):
            store.request("PUT", f"/container/listed/{key}", BLOB, b"1")
        names: list[str] = []
        marker = ""
        for _ in range(5):
            more = f"&marker={marker}" if marker else ""
            path = f"/container?comp=list&maxresults=2&prefix=listed/&restype=container{more}"
            text = store.request("GET", path).text
            page = re.findall(r"<Name>(.*?)</Name>", text)
            assert 0 < len(page) <= 2
            names += page
            marker = (re.findall(r"<NextMarker>(.*?)</NextMarker>", text) or [""])[0]
            if not marker:
                break
        found.append(names)
    assert found[0] == found[1]
    assert len(found[1]) == 5


@pytest.mark.parametrize(
    ("known", "there", "expected"),
    [("0", False, 200), ("0", True, 412), ("other", True, 412), ("other", False, 412), ("its", True, 200)],
)
def test_cloud_storage_compares_generations(gcs: Pair, known: str, there: bool, expected: int) -> None:
    """0: only if there is none (`request-preconditions`). The JSON API of fake-gcs-server, our XML API."""
    theirs, ours = gcs
    for store in gcs:
        store.request("DELETE", "/bkt/object")
    generations = (json_put(theirs, None), xml_put(ours, None)) if there else ("7", "7")
    wanted = [{"0": "0", "other": "12345", "its": generation}[known] for generation in generations]
    assert json_status(theirs, wanted[0]) == expected
    assert ours.request("PUT", "/bkt/object", {MATCH: wanted[1]}, b"2").status_code == expected


MATCH = "x-goog-if-generation-match"
PART = b"--x\r\ncontent-type: %b\r\n\r\n%b\r\n"


def json_status(store: Store, generation: str | None) -> int:
    """Upload by the JSON API; what it answers."""
    condition = f"&ifGenerationMatch={generation}" if generation is not None else ""
    data = PART % (b"application/json", b'{"name": "object"}') + PART % (b"application/octet-stream", BODY)
    kind = {"content-type": "multipart/related; boundary=x"}
    path = f"/upload/storage/v1/b/bkt/o?uploadType=multipart{condition}"
    return store.request("POST", path, kind, data + b"--x--\r\n").status_code


def json_put(store: Store, generation: str | None) -> str:
    assert json_status(store, generation) == 200
    return str(json.loads(store.request("GET", "/storage/v1/b/bkt/o/object").text)["generation"])


def xml_put(store: Store, generation: str | None) -> str:
    condition = {MATCH: generation} if generation is not None else {}
    return store.request("PUT", "/bkt/object", condition, BODY).headers["x-goog-generation"]


GCS_ROWS = [
    Row("GET", "/bkt/object", (200, "")),
    Row("HEAD", "/bkt/object", (200, "")),
    Row("GET", "/bkt/none", (404, "")),
    Row("HEAD", "/bkt/none", (404, "")),
    Row("GET", "/bkt/object", (206, ""), {"range": "bytes=2-4"}),
    Row("GET", "/bkt/object", (416, ""), {"range": "bytes=20-30"}),
    # xml-api/reference-headers: both are honoured; fake-gcs-server takes no notice.
    Row("GET", "/bkt/object", (304, ""), tag="if-none-match", theirs=(200, "")),
    Row("GET", "/bkt/object", (412, ""), {"if-match": OTHER_TAG}, theirs=(200, "")),
    Row("GET", "/nothing/object", (404, "")),
    Row("DELETE", "/bkt/none", (404, "")),
]


@pytest.mark.parametrize("row", GCS_ROWS, ids=str)
def test_cloud_storage_answers_as_its_reference_says(gcs: Pair, row: Row) -> None:
    """fake-gcs-server and ours give the same status."""
    json_put(gcs[0], None)
    xml_put(gcs[1], None)
    answers: list[tuple[int, str]] = []
    for store in gcs:
        tag = store.request("HEAD", "/bkt/object").headers["etag"]
        headers = {**row.headers, row.tag: tag} if row.tag else row.headers
        answers.append((store.request(row.method, row.path, headers).status_code, ""))
    assert answers[1] == row.expected
    assert answers[0] == (row.theirs or row.expected)


async def test_our_client_reads_objects_of_fake_gcs_server(
    gcs: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client reads the generation as on Google Cloud, and a missing object is None."""
    theirs, _ = gcs
    generation = json_put(theirs, None)
    for name, value in theirs.environ.items():
        monkeypatch.setenv(name, value)

    bucket = CloudBucket(theirs.url, most_bytes=1_048_576)
    found = await bucket.get("object")
    assert isinstance(found, Found)
    assert (found.data, found.version) == (BODY, generation)
    assert await bucket.get("none") is None


def test_google_wants_the_permission_to_delete_for_writing_over(tmp_path: Path) -> None:
    """A role that may only create keeps what is there (`access-control/iam-xml`)."""
    identities = Identities()
    creator = Grant("creator", "object:write", "bkt")
    desired = DesiredState(buckets=(Bucket("gcp", "bkt", tmp_path),), grants=(creator,))
    with emulator_of("gcp", desired, identities) as address:
        store = caller("gcp", address, identities, "creator")
        assert [store.request("PUT", "/bkt/a", {}, b"1").status_code for _ in range(2)] == [200, 403]


def test_each_store_of_ours_lies_in_a_folder(tmp_path: Path) -> None:
    """What a client wrote is a file that the providers and people can read."""
    with emulator_store("gcp", tmp_path) as store:
        store.request("PUT", "/bkt/health/a.json", {}, b"1")
    assert (tmp_path / "health" / "a.json").read_bytes() == b"1"
