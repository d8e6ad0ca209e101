"""What a change makes of the stack config, or why it is refused.

Pure. The rules of values are those of `infra.config`: the changed config is parsed, and its mistakes are the
refusal. Rules of a change that a config alone cannot show:
- A new target does not change the absolute weight of another: weights that a cloud's regions shared are
  written out for each of them.
- A target that is not there is refused with those that are.
- The last target cannot be removed, not even by force: a stack without a target is destroyed with Pulumi.
- A cloud's first region has its router and its checker. Its removal changes or ends a router's URL, so it is
  refused unless forced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from infra.config.model import CLOUDS, Cloud, Place, Settings
from infra.config.parse import parse_settings
from infra.config.regions import REGIONS
from infra.config.validation import one_of
from infra.errors import ConfigError
from infra.manager.errors import BadRequest, Conflict, NotFound, Unavailable
from infra.manager.jobs.model import Change

CLOUDS_KEY = "skyfleet:clouds"
ROUTER_KEY = "skyfleet:router"

Config = Mapping[str, object]


def apply(config: Config, change: Change, stack: str) -> dict[str, object]:
    """The config after a change; the values of `skyfleet:clouds` and `skyfleet:router` may be new.

    config: by full key, as in the file of the stack. Raises BadRequest, NotFound, Conflict, and Unavailable
    when the config is not valid before the change, as that of a newer version of this project.
    """
    settings = _present(config, stack)
    place = _place(change)
    if change.action == "delete":
        _check_removal(settings, place, force=change.force)
        changed = _without(config, settings, place)
    elif change.action == "weight" and place not in settings.places:
        raise _unknown(settings, place)
    else:
        changed = _with(config, settings, place, change.options)
    parsed(changed, stack)
    return changed


def parsed(config: Config, stack: str) -> Settings:
    """The settings of a config. Raises BadRequest with its mistakes."""
    try:
        return parse_settings(config, stack)
    except ConfigError as error:
        raise BadRequest(
            "the stack config would not be valid: " + "; ".join(error.mistakes), mistakes=list(error.mistakes)
        ) from None


def _present(config: Config, stack: str) -> Settings:
    try:
        return parse_settings(config, stack)
    except ConfigError as error:
        raise Unavailable(
            "the stack config cannot be changed, since it is not valid as it is: "
            f"{'; '.join(error.mistakes)}. Correct the file, or use the version of this "
            "project that wrote it",
            mistakes=list(error.mistakes),
        ) from None


def _place(change: Change) -> Place:
    """The place of a change, if its cloud and region exist."""
    if change.cloud not in CLOUDS:
        raise BadRequest(
            f"cloud: got {change.cloud!r}; expected {one_of(CLOUDS, change.cloud)}", known=list(CLOUDS)
        )
    cloud = change.cloud
    if change.action != "delete" and change.region not in REGIONS[cloud]:
        expected = one_of(REGIONS[cloud], change.region)
        raise BadRequest(f"region: got {change.region!r}; expected {expected}", known=list(REGIONS[cloud]))
    return Place(cloud, change.region)


def _unknown(settings: Settings, place: Place) -> NotFound:
    known = [str(one) for one in settings.places]
    return NotFound(f"no target {place}; there are {', '.join(known)}", known=known)


def _check_removal(settings: Settings, place: Place, *, force: bool) -> None:
    if place not in settings.places:
        raise _unknown(settings, place)
    if len(settings.places) == 1:
        raise Conflict(
            f"{place} is the last target, and a stack without one cannot be deployed. `pulumi destroy` "
            "removes the whole stack, `make down` the one on emulated clouds",
            target=str(place),
        )
    rest = [target for target in settings.targets if target.place != place]
    if not any(target.weight for target in rest):
        raise Conflict(
            f"without {place} every target has weight 0: give another one a weight first", target=str(place)
        )
    if place not in settings.routers:
        return
    if settings.routers == (place,) and all(one.place.cloud != place.cloud for one in rest):
        raise Conflict(
            f"{place} has the only router: let another cloud have one first (skyfleet:router.clouds)",
            target=str(place),
        )
    if not force:
        raise Conflict(
            f"{place} has a router, whose URL ends with it. With force it is removed all the same: clients "
            "need the new list of routers",
            target=str(place),
        )


def _with(
    config: Config, settings: Settings, place: Place, options: Mapping[str, float]
) -> dict[str, object]:
    regions = _regions(config, settings, place.cloud)
    plain = {name: _plain(value) for name, value in options.items()}
    regions[place.region] = {"weight": 1, **regions.get(place.region, {}), **plain}
    return {**config, CLOUDS_KEY: {**_clouds(config), place.cloud: _entry(config, place.cloud, regions)}}


def _without(config: Config, settings: Settings, place: Place) -> dict[str, object]:
    clouds = dict(_clouds(config))
    regions = _regions(config, settings, place.cloud)
    del regions[place.region]
    if regions:
        return {**config, CLOUDS_KEY: {**clouds, place.cloud: _entry(config, place.cloud, regions)}}
    del clouds[place.cloud]
    router = dict(_mapping(_decoded(config.get(ROUTER_KEY))))
    named = router.get("clouds")
    if isinstance(named, list):
        router["clouds"] = [name for name in cast("list[object]", named) if name != place.cloud]
        return {**config, CLOUDS_KEY: clouds, ROUTER_KEY: router}
    return {**config, CLOUDS_KEY: clouds}


def _regions(config: Config, settings: Settings, cloud: Cloud) -> dict[str, dict[str, object]]:
    """The settings of each region of a cloud, in their order, with the weight of each written out."""
    own: dict[str, Mapping[str, object]] = {}
    given = _mapping(_clouds(config).get(cloud)).get("regions")
    for item in cast("list[object]", given) if isinstance(given, list) else []:
        own |= {name: _mapping(value) for name, value in _mapping(item).items()}
    return {
        target.place.region: {**own.get(target.place.region, {}), "weight": _plain(target.weight)}
        for target in settings.targets
        if target.place.cloud == cloud
    }


def _entry(config: Config, cloud: Cloud, regions: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The entry of a cloud whose regions have their own weights."""
    kept = {key: value for key, value in _mapping(_clouds(config).get(cloud)).items() if key != "weight"}
    return {**kept, "regions": [{name: dict(own)} for name, own in regions.items()]}


def _clouds(config: Config) -> Mapping[str, object]:
    return _mapping(_decoded(config.get(CLOUDS_KEY)))


def _decoded(value: object) -> object:
    """A value that stands as JSON text in the file is edited as what it means."""
    import json

    if isinstance(value, str):
        try:
            return cast("object", json.loads(value))
        except ValueError:
            return value
    return value


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _plain(value: float) -> float:
    return int(value) if abs(value) < 2**53 and value == int(value) else value
