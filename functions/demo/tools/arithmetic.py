"""Exact arithmetic on common notations: `12*(3+4)`, `15% of 80`, `2^10`, `7 squared`, `sqrt(2)`.

The expression is parsed into Python's syntax tree, of which only listed node types are evaluated, without
`eval`. Numbers are fractions, so 0.1 + 0.2 is 0.3. Limits bound the time of a request.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from decimal import Context as DecimalContext
from decimal import Decimal
from fractions import Fraction
from typing import Final

from functions.demo.tools.base import Arguments, Context, Observation, Tool, ToolFailed, schema, text_argument

# Enough for a long sum; deeply nested brackets are refused.
MAX_CHARACTERS: Final = 300
MAX_NODES: Final = 200
# About 600 digits: 2**2000 is allowed, 9**9**9 is not. Each operation takes less than a millisecond.
MAX_BITS: Final = 2048
MAX_FACTORIAL: Final = 300
# The shown digits of a result without an exact decimal form.
SHOWN_DIGITS: Final = 12

# The rules apply in order.
WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(?<=\d),(?=\d{3}(?!\d))", ""),
        (r"[\u00d7\u2715]", "*"),
        (r"\u00f7", "/"),
        (r"[\u2212\u2013]", "-"),
        (r"\^", "**"),
        (r"(?<=\d)\s*x\s*(?=[\d(])", "*"),
        (r"\bthe\s+(?=square|cube|sum|product)", ""),
        (r"\b(?:square root|sqrt) of\s+([\d.]+|\([^()]*\))", r"sqrt(\1)"),
        (r"([\d.]+)\s*(?:%|percent)\s*of\b", r"(\1/100)*"),
        (r"([\d.]+)\s*(?:%|percent)(?=\s*(?:$|[-+)]))", r"(\1/100)"),
        (r"\bto the power of\b", "**"),
        (r"\b(?:divided by|over)\b", "/"),
        (r"\b(?:multiplied by|times)\b", "*"),
        (r"\bplus\b", "+"),
        (r"\bminus\b", "-"),
        (r"\b(?:modulo|mod)\b", "%"),
        (r"\bsquared\b", "**2"),
        (r"\bcubed\b", "**3"),
        (r"([\d)])\s*!", r"\1!"),
        (r"(\d+)!", r"factorial(\1)"),
    )
)


class _TooBig(Exception):
    """A value exceeds MAX_BITS."""


def normalise(text: str) -> str:
    """Rewrite common notations as a Python expression. The result may be invalid."""
    for pattern, replacement in WORDS:
        text = pattern.sub(replacement, text)
    return text.strip().rstrip("=?.! ")


def parse(text: str) -> ast.expr | None:
    """The syntax tree of an arithmetic expression, or None."""
    expression = normalise(text[: 2 * MAX_CHARACTERS])
    if not expression or len(expression) > MAX_CHARACTERS or not any(c.isdigit() for c in expression):
        return None
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = list(ast.walk(tree))
    return tree if len(nodes) <= MAX_NODES and all(_allowed(node) for node in nodes) else None


def evaluate(text: str) -> Fraction:
    """The exact value. Raises ToolFailed if the text is not arithmetic or the result is too large."""
    tree = parse(text)
    if tree is None:
        raise ToolFailed(f"I cannot read {text[:80]!r} as arithmetic of up to {MAX_CHARACTERS} characters.")
    try:
        return _value(tree)
    except ZeroDivisionError:
        raise ToolFailed(f"{text.strip()} divides by zero, so it has no result.") from None
    except _TooBig:
        raise ToolFailed(
            f"The result of {text.strip()} has more than {MAX_BITS} bits; I stop there."
        ) from None
    except (ValueError, TypeError, OverflowError):
        raise ToolFailed(f"{text.strip()} has no result among the real numbers.") from None


def show(value: Fraction) -> str:
    """A number in decimal form, rounded if it has no finite decimal form."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        places = max(places, power)
    if rest == 1 and places <= SHOWN_DIGITS:
        return _decimal(value, places)
    return str(DecimalContext(prec=SHOWN_DIGITS).divide(Decimal(value.numerator), Decimal(value.denominator)))


def _decimal(value: Fraction, places: int) -> str:
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


async def _run(arguments: Arguments, context: Context) -> Observation:
    expression = text_argument(arguments, "expression")
    result = show(evaluate(expression))
    return Observation(result, f"{expression.strip().rstrip('=?.! ')} = {result}.")


def _allowed(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id=name):
            return name in FUNCTIONS or name in CONSTANTS
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in FUNCTIONS
        case _:
            return type(node) in NODES


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            value = Fraction(repr(number))
        case ast.Name(id=name) if name in CONSTANTS:
            value = CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = -_value(operand)
        case ast.UnaryOp(operand=operand):
            value = _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            value = _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right):
            value = Fraction(BINARY[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args) if name in FUNCTIONS:
            value = Fraction(FUNCTIONS[name](*[_value(argument) for argument in args]))
        case _:
            raise ValueError(node)
    return _bounded(value)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _TooBig
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return Fraction(repr(math.pow(base, exponent)))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * (bits - 1) > MAX_BITS:  # checked before the computation
        raise _TooBig
    return Fraction(base ** int(exponent))


def _factorial(value: Fraction) -> int:
    if value > MAX_FACTORIAL:
        raise _TooBig
    if value.denominator != 1:
        raise ValueError(value)
    return math.factorial(int(value))


def _sqrt(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError(value)
    over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if over * over == value.numerator and under * under == value.denominator:
        return Fraction(over, under)
    return Fraction(repr(math.sqrt(value)))


def _abs(value: Fraction) -> Fraction:
    return abs(value)


def _ceil(value: Fraction) -> int:
    return math.ceil(value)


def _floor(value: Fraction) -> int:
    return math.floor(value)


def _round(value: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    return Fraction(round(value, int(_bounded(digits)))) if abs(digits) <= 100 else value


NODES: Final = frozenset(
    {ast.BinOp, ast.UnaryOp, ast.Load, ast.USub, ast.UAdd, ast.Pow}
    | {ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod}
)
BINARY: Final[dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: operator.mod,
}
FUNCTIONS: Final[dict[str, Callable[..., Fraction | int]]] = {
    "abs": _abs,
    "ceil": _ceil,
    "factorial": _factorial,
    "floor": _floor,
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "round": _round,
    "sqrt": _sqrt,
}
CONSTANTS: Final = {"pi": Fraction(repr(math.pi)), "e": Fraction(repr(math.e))}

ARITHMETIC: Final = Tool(
    name="arithmetic",
    description="Evaluate an arithmetic expression exactly: + - * / // % ** brackets sqrt abs round min max.",
    parameters=schema(("expression",), expression={"type": "string", "description": "e.g. 12*(3+4)"}),
    run=_run,
)
