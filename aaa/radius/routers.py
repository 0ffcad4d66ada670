"""The replica, and its routers and realms, ready for RADIUS (shell)."""

import logging
import os
import threading
from collections.abc import Iterable
from typing import Final

from aaa.domain.router import list_lever
from aaa.radius.clients import Clients, Nas, Network, parse_network
from aaa.radius.integrity import Secret
from aaa.store.replica import NasRow, Replica, ReplicaMissing
from aaa.store.seal import SealBroken, Sealer

_log: Final = logging.getLogger(__name__)
_LOOK_EVERY: Final = 0.05  # seconds


def await_replica(state_dir: str | os.PathLike[str], stop: threading.Event, role: str) -> Replica | None:
    """Open this machine's replica, waiting for it if there is none yet; None if `stop` was set before."""
    told = False
    while not stop.is_set():
        try:
            return Replica.open(state_dir)
        except ReplicaMissing as missing:
            if not told:
                _log.info("%s waits: %s", role, missing)
                told = True
        stop.wait(_LOOK_EVERY)
    return None


def read_clients(replica: Replica, keys: Sealer) -> Clients:
    """Every router of the replica."""
    return clients_of(replica.nas_list(), keys)


def clients_of(rows: Iterable[NasRow], keys: Sealer) -> Clients:
    """These routers. One that cannot be used is left out and named in the log: the others must go on."""
    usable: dict[tuple[Network, str | None], Nas] = {}
    for row in rows:
        try:
            nas = _nas(row, keys)
        except (SealBroken, ValueError) as error:
            _log.error("nas=%s is left out: %s", row.name, error)
            continue
        other = usable.setdefault((nas.network, nas.identifier), nas)
        if other is not nas:
            _log.error("nas=%s is left out: %s has the same address and identifier", nas.name, other.name)
    return Clients(usable.values())


def read_realms(replica: Replica) -> dict[bytes, int]:
    """VISP ids by realm, in lower case."""
    return {visp.realm.lower().encode(): visp.id for visp in replica.visps() if visp.realm}


def _nas(row: NasRow, keys: Sealer) -> Nas:
    secrets = [Secret(keys.unseal("nas", "secret", row.id, row.secret))]
    if row.previous_secret is not None:
        previous = keys.unseal("nas", "previous_secret", row.id, row.previous_secret)
        if previous != secrets[0].value:
            secrets.append(Secret(previous))
    return Nas(
        id=row.id,
        name=row.name,
        network=parse_network(row.address),
        identifier=row.identifier,
        secrets=tuple(secrets),
        require_message_authenticator=row.require_message_authenticator,  # type: ignore[arg-type]
        limit_proxy_state=row.limit_proxy_state,  # type: ignore[arg-type]
        octets=row.octets,  # type: ignore[arg-type]
        coa_address=row.coa_address,
        coa_port=row.coa_port,
        coa_session_timeout=row.coa_session_timeout,  # type: ignore[arg-type]
        total_limit=row.total_limit,
        lists_by_api=list_lever(row.address_list_by, row.api_host) == "api",
    )
