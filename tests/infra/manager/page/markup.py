"""What tests look at in HTML: its elements and their attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "img", "input", "br"})


@dataclass(slots=True)
class Tag:
    """One element."""

    name: str
    attributes: dict[str, str]
    parts: list[Tag | str] = field(default_factory=list["Tag | str"])

    @property
    def inside(self) -> list[Tag]:
        """The elements in this one."""
        return [each for each in self.parts if isinstance(each, Tag)]

    @property
    def text(self) -> str:
        """The text of this element alone."""
        return "".join(each for each in self.parts if isinstance(each, str))

    def all(self) -> list[Tag]:
        """This element and all in it."""
        return [self, *(deeper for each in self.inside for deeper in each.all())]

    def find(self, name: str = "", **attributes: str) -> list[Tag]:
        """The elements of a name that have these attributes; `class_` is one of the classes."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [each for each in self.all() if name in ("", each.name) and each.has(wanted)]

    def has(self, wanted: dict[str, str]) -> bool:
        """Whether all attributes are there."""
        return all(
            value in self.attributes.get(key, "").split()
            if key == "class"
            else self.attributes.get(key) == value
            for key, value in wanted.items()
        )

    @property
    def words(self) -> str:
        """All text inside, with single spaces."""
        return " ".join(
            " ".join(each if isinstance(each, str) else each.words for each in self.parts).split()
        )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Tag("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Tag(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def parse(html: str) -> Tag:
    """The elements of a document or a fragment. A wrong nesting is an AssertionError."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"not closed: {[each.name for each in reader.open[1:]]}"
    return reader.open[0]


def against_policy(html: str) -> list[str]:
    """What a strict Content-Security-Policy forbids: inline style, script and handlers, foreign addresses."""
    found: list[str] = []
    for tag in parse(html).all():
        if tag.name == "style" or (tag.name == "script" and (tag.text or "src" not in tag.attributes)):
            found.append(f"<{tag.name}>")
        for name, value in tag.attributes.items():
            if (
                name == "style"
                or name.startswith(("on", "hx-on"))
                or "javascript:" in value
                or "js:" in value
            ):
                found.append(f"{name}={value}")
            if name in ("src", "href", "action", "hx-get", "hx-post") and not value.startswith(("/", "#")):
                found.append(f"{name}={value}")
    return found
