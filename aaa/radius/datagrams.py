"""Many datagrams for one system call: recvmmsg and sendmmsg (shell, Linux, 64 bit).

A login costs the kernel as much as it costs us, and batches take a good part of that away. The buffers are made once.
A reply leaves from the address that its request was sent to, also on a wildcard socket: the kernel's note of it
(IP_PKTINFO, IPV6_PKTINFO) goes back with the reply.
"""

import ctypes
import errno
import os
import socket
import struct
from typing import Any, Final

from aaa.radius.sockets import IP_PKTINFO, LARGEST

SLOTS: Final = 64

Source = tuple[Any, ...]
"""A sender as a socket names it: (address, port), or (address, port, flow, zone) on IPv6."""

_NAME: Final = 28  # struct sockaddr_in6, the larger one
_CONTROL: Final = 64
# struct mmsghdr: name and its length, vector and count, control and its length, flags; then the octets received
_HEADER: Final = struct.Struct("=QI4xQQQQi4xI4x")
_NAME_LENGTH: Final = 2  # as an index of 32-bit words of the header
_CONTROL_LENGTH: Final = 10
_RECEIVED: Final = 14
_WORDS: Final = _HEADER.size // 4
_VECTOR_AT: Final = 16  # octets into the header
_VECTOR: Final = struct.Struct("=QQ")
_POINTER: Final = struct.Struct("=Q")
_IPV4_NAME: Final = struct.Struct("!2xH4s")
_IPV6_NAME: Final = struct.Struct("!2xHI16s")
_ZONE: Final = struct.Struct("=I")
_ZONE_AT: Final = 24
_CONTROL_HEADER: Final = 16  # struct cmsghdr
_IPV4_INTERFACE_AT: Final = _CONTROL_HEADER
_IPV6_INTERFACE_AT: Final = _CONTROL_HEADER + 16
_NO_INTERFACE: Final = bytes(4)
_REMEMBERED: Final = 65_536

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Datagrams:
    """Batches of up to SLOTS datagrams of one non-blocking socket, and the replies to them. For one thread."""

    def __init__(self, bound: socket.socket, *, wildcard: bool) -> None:
        self.socket = bound
        self._wildcard = wildcard
        self._is_ipv6 = bound.family == socket.AF_INET6
        self._received = _Memory(SLOTS * LARGEST)
        self._sent = _Memory(SLOTS * LARGEST)
        self._names = _Memory(SLOTS * _NAME)
        self._controls = _Memory(SLOTS * _CONTROL)
        self._vectors = _Memory(2 * SLOTS * _VECTOR.size)  # of what is received, then of the replies
        self._requests = _Memory(SLOTS * _HEADER.size)
        self._replies = _Memory(SLOTS * _HEADER.size)
        for slot in range(SLOTS):
            at = slot * _VECTOR.size
            _VECTOR.pack_into(self._vectors.octets, at, self._received.address + slot * LARGEST, LARGEST)
            control = (self._controls.address + slot * _CONTROL, _CONTROL) if wildcard else (0, 0)
            _HEADER.pack_into(
                self._requests.octets,
                slot * _HEADER.size,
                self._names.address + slot * _NAME,
                _NAME,
                self._vectors.address + at,
                1,
                *control,
                0,
                0,
            )
        self._blank = bytes(self._requests.octets)
        self._words = memoryview(self._requests.octets).cast("I")
        self._view = memoryview(self._received.octets)
        self._known: dict[bytes, Source] = {}
        self._waiting = 0

    def receive(self) -> int:
        """Take what has arrived, at most SLOTS datagrams; how many there are. Replies not flushed are lost."""
        self._waiting = 0
        self._requests.octets[:] = self._blank
        count: int = _libc.recvmmsg(self.socket.fileno(), self._requests.address, SLOTS, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))

    def data(self, slot: int) -> bytes:
        """The octets of one datagram."""
        at = slot * LARGEST
        return bytes(self._view[at : at + self._words[slot * _WORDS + _RECEIVED]])

    def source(self, slot: int) -> Source:
        """Who sent it."""
        at = slot * _NAME
        name = bytes(self._names.octets[at : at + self._words[slot * _WORDS + _NAME_LENGTH]])
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[name] = self._parse(name)
        return known

    def _parse(self, name: bytes) -> Source:
        if not self._is_ipv6:
            port, address = _IPV4_NAME.unpack_from(name)
            return socket.inet_ntop(socket.AF_INET, address), port
        port, flow, address = _IPV6_NAME.unpack_from(name)
        [zone] = _ZONE.unpack_from(name, _ZONE_AT)
        text = socket.inet_ntop(socket.AF_INET6, address)
        return (f"{text}%{zone}" if zone else text), port, flow, zone

    def reply(self, slot: int, data: bytes) -> None:
        """Have `data` sent to the sender of one datagram, at `flush`."""
        index = self._waiting
        self._waiting = index + 1
        at = index * LARGEST
        self._sent.octets[at : at + len(data)] = data
        vector = (SLOTS + index) * _VECTOR.size
        _VECTOR.pack_into(self._vectors.octets, vector, self._sent.address + at, len(data))
        if self._wildcard:
            self._loosen(slot)
        header, size = index * _HEADER.size, _HEADER.size
        self._replies.octets[header : header + size] = self._requests.octets[slot * size : slot * size + size]
        _POINTER.pack_into(self._replies.octets, header + _VECTOR_AT, self._vectors.address + vector)

    def flush(self) -> int:
        """Send the replies; how many of them could not be sent."""
        done, failed, waiting = 0, 0, self._waiting
        self._waiting = 0
        while done < waiting:
            address = self._replies.address + done * _HEADER.size
            count = _libc.sendmmsg(self.socket.fileno(), address, waiting - done, 0)
            if count > 0:
                done += count
            elif ctypes.get_errno() != errno.EINTR:
                done += 1  # the first of those that are left is the one that failed
                failed += 1
        return failed

    def later(self, slot: int) -> "Later":
        """What it takes to answer one datagram after its batch is gone."""
        if not self._wildcard or not self._words[slot * _WORDS + _CONTROL_LENGTH]:
            return Later(self.socket, self.source(slot), [])
        self._loosen(slot)
        start = slot * _CONTROL + _CONTROL_HEADER
        if self._is_ipv6:
            note = bytes(self._controls.octets[start : start + 20])
            return Later(self.socket, self.source(slot), [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, note)])
        note = bytes(self._controls.octets[start : start + 12])
        return Later(self.socket, self.source(slot), [(socket.IPPROTO_IP, IP_PKTINFO, note)])

    def _loosen(self, slot: int) -> None:
        """Do not tie the reply to the interface that the request came by, unless its address means nothing without."""
        octets, start = self._controls.octets, slot * _CONTROL
        if not self._is_ipv6:
            octets[start + _IPV4_INTERFACE_AT : start + _IPV4_INTERFACE_AT + 4] = _NO_INTERFACE
        elif octets[start + _CONTROL_HEADER] != 0xFE or octets[start + _CONTROL_HEADER + 1] & 0xC0 != 0x80:
            octets[start + _IPV6_INTERFACE_AT : start + _IPV6_INTERFACE_AT + 4] = _NO_INTERFACE


class Later:
    """A reply's way back, kept for later."""

    __slots__ = ("_ancillary", "_bound", "_source")

    def __init__(self, bound: socket.socket, source: Source, ancillary: list[tuple[int, int, bytes]]) -> None:
        self._bound = bound
        self._source = source
        self._ancillary = ancillary

    def reply(self, data: bytes) -> None:
        """Send it now. Raises OSError."""
        if self._ancillary:
            self._bound.sendmsg((data,), self._ancillary, 0, self._source)
        else:
            self._bound.sendto(data, self._source)


class _Memory:
    """Octets that stay where they are."""

    __slots__ = ("address", "octets")

    def __init__(self, size: int) -> None:
        self.octets = bytearray(size)
        self.address: int = ctypes.addressof(ctypes.c_char.from_buffer(self.octets))
