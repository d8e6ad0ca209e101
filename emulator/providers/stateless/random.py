"""pulumi_random: values that exist in the stack's state only; the emulator stores none of them.

Source of the rules: the documented arguments of these resource types.
The output `bcryptHash` of a password is left out: nothing here hashes with bcrypt.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator, Mapping

from emulator.providers.registry import Invoke
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.schema import Failure
from emulator.providers.values import Json, Properties, at, is_unknown, number, text

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
# input that enables a class of characters, input with its minimum, the characters
CLASSES = (
    ("upper", "minUpper", string.ascii_uppercase),
    ("lower", "minLower", string.ascii_lowercase),
    ("numeric", "minNumeric", string.digits),
    ("special", "minSpecial", SPECIAL),
)


def _key(inputs: Properties, context: Context) -> str:
    raise AssertionError("random values are not kept in the table")


def _characters(inputs: Properties) -> Mapping[str, str]:
    """Minimum's name -> characters, for each enabled class (all by default)."""
    wanted: dict[str, str] = {}
    for switch, least, characters in CLASSES:
        on = inputs.get(switch, inputs.get("number") if switch == "numeric" else None)
        if on is not False:
            override = text(inputs, "overrideSpecial") if switch == "special" else ""
            wanted[least] = override or characters
    return wanted


def _text_rules(inputs: Properties) -> Iterator[Failure]:
    if is_unknown(inputs["length"]):
        return
    length, least = number(inputs, "length"), sum(number(inputs, least) for _, least, _ in CLASSES)
    if length < max(1, least):
        yield Failure("length", f"must be at least {max(1, int(least))} (the sum of min*), got {length}")
    if not _characters(inputs):
        yield Failure("upper", "no characters are left: lower, upper, numeric and special are all off")


def _text(inputs: Properties, context: Context) -> str:
    draw = random.SystemRandom()
    classes = _characters(inputs)
    picked = [draw.choice(c) for least, c in classes.items() for _ in range(int(number(inputs, least)))]
    everything = "".join(classes.values())
    picked += [draw.choice(everything) for _ in range(int(number(inputs, "length")) - len(picked))]
    draw.shuffle(picked)
    return "".join(picked)


def _password(inputs: Properties, context: Context) -> Properties:
    return {**_switches(inputs), "id": "none", "result": _text(inputs, context)}


def _string(inputs: Properties, context: Context) -> Properties:
    drawn = _text(inputs, context)
    return {**_switches(inputs), "id": drawn, "result": drawn}


def _switches(inputs: Properties) -> Properties:
    """The defaults as the provider reports them."""
    switches = {switch: at(inputs, switch) is not False for switch, _, _ in CLASSES}
    return {**switches, **{least: int(number(inputs, least)) for _, least, _ in CLASSES}}


def _id(inputs: Properties, context: Context) -> Properties:
    drawn = context.machine.entropy(int(number(inputs, "byteLength")))
    prefix = text(inputs, "prefix")
    url = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
    return {
        "id": url,
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(drawn).decode(),
        "hex": prefix + drawn.hex(),
        "dec": prefix + str(int.from_bytes(drawn)),
    }


def _bytes(inputs: Properties, context: Context) -> Properties:
    drawn = context.machine.entropy(int(number(inputs, "length")))
    return {"id": "none", "base64": base64.b64encode(drawn).decode(), "hex": drawn.hex()}


def _uuid(inputs: Properties, context: Context) -> Properties:
    drawn = context.uuid()
    return {"id": drawn, "result": drawn}


def _at_least_one(prop: str) -> Callable[[Properties], Iterator[Failure]]:
    def rules(inputs: Properties) -> Iterator[Failure]:
        if not is_unknown(inputs[prop]) and number(inputs, prop) < 1:
            yield Failure(prop, f"must be at least 1, got {inputs[prop]}")

    return rules


_TEXT_FORCE = frozenset(
    ("length", "keepers", "number", "overrideSpecial", *(name for pair in CLASSES for name in pair[:2]))
)

RESOURCE_TYPES = (
    ResourceType(
        "random:index/randomPassword:RandomPassword",
        _key,
        _password,
        force_new=_TEXT_FORCE,
        rules=_text_rules,
        stateless=True,
    ),
    ResourceType(
        "random:index/randomString:RandomString",
        _key,
        _string,
        force_new=_TEXT_FORCE,
        rules=_text_rules,
        stateless=True,
    ),
    ResourceType(
        "random:index/randomId:RandomId",
        _key,
        _id,
        force_new=frozenset(("byteLength", "keepers", "prefix")),
        rules=_at_least_one("byteLength"),
        stateless=True,
    ),
    ResourceType(
        "random:index/randomBytes:RandomBytes",
        _key,
        _bytes,
        force_new=frozenset(("length", "keepers")),
        rules=_at_least_one("length"),
        stateless=True,
    ),
    ResourceType(
        "random:index/randomUuid:RandomUuid",
        _key,
        _uuid,
        force_new=frozenset(("keepers",)),
        stateless=True,
    ),
)

INVOKES: Mapping[str, Invoke] = {}
DEFAULTS: Mapping[str, Json] = {}
