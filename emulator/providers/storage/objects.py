"""Objects in buckets for the providers of all three clouds: files in a folder per bucket.

The file is the object. A function may overwrite or delete one, and a refresh sees it. Keys are paths below
the
bucket's folder; files that are being written start with a dot.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from pathlib import Path

from emulator.desired.model import Cloud
from emulator.errors import CloudError
from emulator.providers.resource_types import Context, Machine
from emulator.providers.storage import assets
from emulator.providers.storage.assets import Written
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, text
from emulator.services import objects


def object_path(machine: Machine, cloud: Cloud, bucket: str, key: str) -> Path:
    """Path of an object. Raises CloudError for a key that no file can have."""
    try:
        return objects.object_path(bucket_folder(machine, cloud, bucket), key)
    except objects.BadKey:
        raise CloudError(
            "InvalidObjectName", f"the emulator keeps objects as files and cannot name one {key!r}"
        ) from None


def bucket_folder(machine: Machine, cloud: Cloud, bucket: str) -> Path:
    """The folder of a bucket's objects."""
    return machine.buckets / cloud / bucket


def make_bucket(machine: Machine, cloud: Cloud, bucket: str) -> None:
    """Make the folder of a bucket's objects."""
    bucket_folder(machine, cloud, bucket).mkdir(parents=True, exist_ok=True)


def upload(inputs: Properties, target: Path, context: Context) -> Written:
    """Writes the object's bytes from `source` (asset or archive), `content` or `contentBase64`."""
    source: Json = inputs.get("source")
    if source is not None:
        return assets.write_asset(source, context.machine.program_folder, target, context.undo)
    content = text(inputs, "content").encode()
    if "contentBase64" in inputs:
        try:
            content = base64.b64decode(text(inputs, "contentBase64"), validate=True)
        except binascii.Error as error:
            raise CloudError("InvalidRequest", f"contentBase64 is not base64 ({error})") from error
    return assets.write(io.BytesIO(content), target, context.undo)


def remember(written: Written, target: Path, context: Context) -> None:
    """Records in the resource the object's path and hash."""
    context.private["object"] = target.relative_to(context.machine.folder).as_posix()
    context.private["sha256"] = written.sha256
    context.private["size"] = written.size


def object_file(resource: Resource, machine: Machine) -> Path:
    return machine.folder / str(resource.private["object"])


def object_alive(resource: Resource, machine: Machine) -> bool:
    return object_file(resource, machine).is_file()


def delete_object(resource: Resource, context: Context) -> None:
    assets.remove(object_file(resource, context.machine), context.undo)


def remove_bucket(folder: Path, context: Context) -> None:
    """Removes a bucket's folder and its content; until the change is final it can be restored."""
    if not folder.is_dir():
        return
    aside = folder.with_name(f".{folder.name}.gone")
    assets.discard(aside)
    folder.rename(aside)
    context.undo.rollback.append(lambda: aside.rename(folder))
    context.undo.commit.append(lambda: assets.discard(aside))


def keep_package(package: Path, sha256: str, context: Context, limit_mb: tuple[int, int]) -> None:
    """Copies a package out of its bucket, for a function to run. limit_mb: MB zipped, MB unzipped.

    Clouds copy the code when a function is created or updated: later changes of the object have no effect.
    """
    zipped, unzipped = limit_mb
    if package.stat().st_size > zipped * 1024 * 1024:
        raise CloudError("RequestEntityTooLarge", f"the package is larger than {zipped} MB zipped")
    try:
        with zipfile.ZipFile(package) as archive:
            total = sum(info.file_size for info in archive.infolist())
            names = {info.filename for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise CloudError("InvalidPackage", f"{package.name} is not a zip file ({error})") from error
    if total > unzipped * 1024 * 1024:
        raise CloudError(
            "InvalidPackage", f"unzipped size {total >> 20} MB is larger than {unzipped} MB allowed"
        )
    if not names:
        raise CloudError("InvalidPackage", f"{package.name} is an empty zip file")
    assets.link(package, context.machine.code / f"{sha256}.zip")
    context.private["package"] = sha256
