"""UDP sockets that several processes share (shell, Linux).

Every process binds a socket of its own with SO_REUSEPORT. A classic BPF program picks the process by the packet's
Identifier, so that a retransmission meets the process that holds the reply, and one NAS socket still reaches every
process. The kernel falls back to its own hash while fewer sockets than processes are bound, as after a crash.
"""

import ctypes
import socket
import struct
import sys
from ipaddress import ip_address
from typing import Any, Final

RECEIVE_BUFFER: Final = 4 << 20
LARGEST: Final = 4096
_SO_RCVBUFFORCE: Final = 33
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_SO_MEMINFO: Final = 55
_MEMINFO_DROPS: Final = 8
_IP_PKTINFO: Final = 8
_IN_PKTINFO: Final = struct.Struct("=I4s4s")
_IN6_PKTINFO: Final = struct.Struct("=16sI")
_ANCILLARY_ROOM: Final = socket.CMSG_SPACE(_IN6_PKTINFO.size)
# linux/bpf_common.h: BPF_LD|BPF_B|BPF_ABS, BPF_ALU|BPF_MOD|BPF_K, BPF_RET|BPF_A
_LOAD_OCTET: Final = 0x30
_MODULO: Final = 0x94
_RETURN: Final = 0x16
_IDENTIFIER_AT: Final = 1

Ancillary = list[tuple[int, int, bytes]]


def bind(address: str, port: int, index: int, processes: int) -> socket.socket:
    """A non-blocking UDP socket on `address`:`port` for process `index` of `processes`. OSError names the address.

    A wildcard socket also reports the address each packet was sent to, see `receive`.
    """
    version = ip_address(address).version
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _widen(bound)
        if version == 6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_wildcard(address):
            if version == 6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        bound.bind((address, port))
        if processes > 1:
            _spread_by_identifier(bound, processes)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"process {index}: UDP {address} port {port}: {error.strerror}") from None
    return bound


def is_wildcard(address: str) -> bool:
    """Whether `address` means every address of the machine."""
    return ip_address(address).is_unspecified


def receive(wildcard: socket.socket) -> tuple[bytes, Any, Ancillary]:
    """One datagram of a wildcard socket, its source, and what `reply` needs to answer from the address it was sent to.

    Raises BlockingIOError if there is none.
    """
    data, ancillary, _flags, source = wildcard.recvmsg(LARGEST, _ANCILLARY_ROOM)
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(value) >= _IN_PKTINFO.size:
            _interface, local, _destination = _IN_PKTINFO.unpack_from(value)
            return data, source, [(socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and len(value) >= _IN6_PKTINFO.size:
            local, interface = _IN6_PKTINFO.unpack_from(value)
            # A link-local address means nothing without its interface; any other must not be tied to one.
            zone = interface if local[0] == 0xFE and local[1] & 0xC0 == 0x80 else 0
            return data, source, [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(local, zone))]
    return data, source, []


def reply(wildcard: socket.socket, data: bytes, source: Any, ancillary: Ancillary) -> None:
    """Send `data` to `source`, from the address that `receive` put into `ancillary`. Raises OSError."""
    wildcard.sendmsg((data,), ancillary, 0, source)


def _widen(bound: socket.socket) -> None:
    try:
        bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:
        # Not privileged: as much as net.core.rmem_max allows.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _spread_by_identifier(bound: socket.socket, processes: int) -> None:
    # The program sees the UDP payload from offset 0: octet 1 of a RADIUS packet is its Identifier.
    program = b"".join(
        struct.pack("=HBBI", code, 0, 0, operand)
        for code, operand in ((_LOAD_OCTET, _IDENTIFIER_AT), (_MODULO, processes), (_RETURN, 0))
    )
    memory = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, pointer)


def lost(bound: socket.socket) -> int:
    """Datagrams that the kernel has dropped so far because the socket's buffer was full."""
    memory = bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_MEMINFO_DROPS + 1))
    return int.from_bytes(memory[4 * _MEMINFO_DROPS :], sys.byteorder)
