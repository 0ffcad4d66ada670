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
from typing import Final

RECEIVE_BUFFER: Final = 4 << 20
LARGEST: Final = 4096
_SO_RCVBUFFORCE: Final = 33
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_SO_MEMINFO: Final = 55
_MEMINFO_DROPS: Final = 8
IP_PKTINFO: Final = 8
# linux/bpf_common.h: BPF_LD|BPF_B|BPF_ABS, BPF_ALU|BPF_MOD|BPF_K, BPF_RET|BPF_A
_LOAD_OCTET: Final = 0x30
_MODULO: Final = 0x94
_RETURN: Final = 0x16
_IDENTIFIER_AT: Final = 1


def bind(address: str, port: int, index: int, processes: int) -> socket.socket:
    """A non-blocking UDP socket on `address`:`port` for process `index` of `processes`. OSError names the address.

    A wildcard socket also reports the address each packet was sent to.
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
                bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
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
