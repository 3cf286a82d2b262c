"""A tray: the D-Bus service that desktops offer to icons, and a look at the icon's own service.

Run as a program it is `org.kde.StatusNotifierWatcher`: it prints one JSON line when it is ready,
one for each item that registers, and answers the commands on its standard input:
`get NAME` (a property of the item), `menu` (the labels of its menu), `click LABEL`, `activate`.
"""

# dbus-fast reads D-Bus signatures from the annotations, so they must not be postponed.
import asyncio
import json
import sys
from typing import Any

from dbus_fast import BusType, Message, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"
PROPERTIES = "org.freedesktop.DBus.Properties"


def say(**data: object) -> None:
    """Tell the test one thing."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


class Watcher(ServiceInterface):
    """The part of a desktop's panel that icons register with."""

    def __init__(self) -> None:
        super().__init__(WATCHER)
        self.items: list[str] = []

    @dbus_method(name="RegisterStatusNotifierItem")
    def register_item(self, service: "s"):  # noqa: F821
        self.items.append(service)
        self.item_registered(service)
        say(registered=service)

    @dbus_method(name="RegisterStatusNotifierHost")
    def register_host(self, service: "s"):  # noqa: F821
        self.host_registered()

    @dbus_property(access=PropertyAccess.READ, name="RegisteredStatusNotifierItems")
    def registered_items(self) -> "as":  # noqa: F722
        return self.items

    @dbus_property(access=PropertyAccess.READ, name="IsStatusNotifierHostRegistered")
    def has_host(self) -> "b":  # noqa: F821
        return True

    @dbus_property(access=PropertyAccess.READ, name="ProtocolVersion")
    def version(self) -> "i":  # noqa: F821
        return 0

    @dbus_signal(name="StatusNotifierItemRegistered")
    def item_registered(self, service: str) -> "s":  # noqa: F821
        return service

    @dbus_signal(name="StatusNotifierHostRegistered")
    def host_registered(self):
        """Tell that a panel shows items."""


class Item:
    """The icon's own service, as a panel talks to it."""

    def __init__(self, bus: MessageBus, service: str) -> None:
        self._bus, self._service = bus, service

    async def get(self, name: str) -> object:
        """Return a property of the item as plain data."""
        return await self._call("/StatusNotifierItem", PROPERTIES, "Get", "ss", [ITEM, name])

    async def activate(self) -> None:
        """Click the icon."""
        await self._call("/StatusNotifierItem", ITEM, "Activate", "ii", [0, 0])

    async def menu(self) -> list[tuple[int, str, bool]]:
        """Return (id, label, enabled) of every entry, those of sub-menus too."""
        path = str(await self.get("Menu"))
        layout = await self._call(path, MENU, "GetLayout", "iias", [0, -1, []])
        found: list[tuple[int, str, bool]] = []
        _collect(layout[1] if isinstance(layout, list) else layout, found)
        return found

    async def click(self, label: str) -> None:
        """Choose the entry with this label."""
        entry = next(id_ for id_, text, _ in await self.menu() if text == label)
        path = str(await self.get("Menu"))
        await self._call(path, MENU, "Event", "isvu", [entry, "clicked", Variant("i", 0), 0])

    async def _call(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> Any:
        reply = await self._bus.call(
            Message(
                destination=self._service,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
        if reply is None or reply.error_name:
            raise RuntimeError(f"{member}: {reply.body if reply else 'no reply'}")
        plain = _plain(reply.body)
        return plain[0] if len(plain) == 1 else plain


def _plain(value: Any) -> Any:
    if isinstance(value, Variant):
        return _plain(value.value)
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return len(value) if isinstance(value, bytes) else value


def _collect(node: list[Any], found: list[tuple[int, str, bool]]) -> None:
    id_, properties, children = node
    label = str(properties.get("label", "")).replace("_", "")
    if label:
        found.append((id_, label, properties.get("enabled", True) is not False))
    for child in children:
        _collect(child, found)


async def main() -> None:
    """Be the tray until the standard input ends."""
    bus = await MessageBus(bus_type=BusType.SESSION).connect()
    watcher = Watcher()
    bus.export("/StatusNotifierWatcher", watcher)
    await bus.request_name(WATCHER)
    say(ready=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        item = Item(bus, watcher.items[-1])
        command, _, argument = line.partition(" ")
        if command == "get":
            say(value=await item.get(argument))
        elif command == "menu":
            say(value=[[label, enabled] for _, label, enabled in await item.menu()])
        elif command == "click":
            await item.click(argument)
            say(value=True)
        elif command == "activate":
            await item.activate()
            say(value=True)
    bus.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
