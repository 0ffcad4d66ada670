"""FreeRADIUS from Debian's package, in the leanest honest configuration of each kind; started as a child process."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import population, postgresql, processes
from benchmarks.measure import Side

STOCK: Final = Path("/etc/freeradius/3.0/mods-config/sql/main/postgresql")
BINARY: Final = "/usr/sbin/freeradius"
# Two worker threads saturate two cores; with SQL most of them wait for commits, and more of them share one.
FILES_THREADS: Final = 2
SQL_THREADS: Final = 32

_CONFIGURATION: Final = """\
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {directory}
run_dir = {directory}
name = radiusd
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
log {{
    destination = stdout
    auth = no
}}
security {{
    max_attributes = 200
    reject_delay = 0
    status_server = yes
}}
proxy_requests = no
thread pool {{
    start_servers = {threads}
    max_servers = {threads}
    min_spare_servers = 0
    max_spare_servers = {threads}
    max_requests_per_server = 0
    max_queue_size = 65536
}}
client router {{
    ipaddr = {nas}
    secret = {secret}
}}
instantiate {{
    {instantiate}
}}
modules {{
    pap {{
        normalise = no
    }}
    {module}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {auth_port}
    }}
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {acct_port}
    }}
    authorize {{
        {name}
        pap
    }}
    authenticate {{
        pap
    }}
    {sections}
}}
"""

_FILES: Final = """files {{
        filename = {directory}/users
    }}"""

# The stock queries need the expansions tolower and md5 of `expr`.
_SQL: Final = """expr {{
    }}
    sql {{
        dialect = "postgresql"
        driver = "rlm_sql_postgresql"
        radius_db = "{conninfo}"
        acct_table1 = "radacct"
        acct_table2 = "radacct"
        postauth_table = "radpostauth"
        authcheck_table = "radcheck"
        groupcheck_table = "radgroupcheck"
        authreply_table = "radreply"
        groupreply_table = "radgroupreply"
        usergroup_table = "radusergroup"
        client_table = "nas"
        group_attribute = "SQL-Group"
        read_groups = yes
        read_clients = no
        delete_stale_sessions = yes
        pool {{
            start = {threads}
            min = {threads}
            max = {threads}
            spare = 0
            uses = 0
            lifetime = 0
            idle_timeout = 0
        }}
        $INCLUDE {directory}/queries.conf
    }}"""

# As policy.d/accounting makes it for packets whose Class is not FreeRADIUS's own.
_SQL_SECTIONS: Final = """post-auth {
        sql
    }
    preacct {
        update request {
            &Acct-Unique-Session-Id := "%{md5:%{User-Name},%{Acct-Session-ID},\
%{%{NAS-IPv6-Address}:-%{NAS-IP-Address}},%{NAS-Identifier},%{NAS-Port-ID},%{NAS-Port}}"
        }
    }
    accounting {
        sql
    }"""

# Message-Authenticator stands for "sign the reply", as RouterOS has demanded since 7.15.
_REPLY: Final = (
    ("Message-Authenticator", "0x00"),
    ("Service-Type", "Framed-User"),
    ("Framed-Protocol", "PPP"),
    ("Mikrotik-Rate-Limit", population.RATE_LIMIT),
    ("Framed-Pool", population.POOL),
    ("Session-Timeout", str(population.SESSION_TIMEOUT_SECONDS)),
    ("Acct-Interim-Interval", str(population.INTERIM_SECONDS)),
    ("Class", "0x" + population.CLASS.hex()),
)


@contextmanager
def with_files(users: int, threads: int = FILES_THREADS) -> Iterator[Side]:
    """The `files` module: every subscriber in memory, no log, no database."""
    with _directory() as directory:
        with (directory / "users").open("w") as file:
            reply = ",\n".join(f"\t{name} = {_quoted(value)}" for name, value in _REPLY)
            for number in range(users):
                file.write(
                    f'{population.username(number)} Cleartext-Password := "{population.password(number)}"\n{reply}\n\n'
                )
        module = _FILES.format(directory=directory)
        with _serve("freeradius-files", directory, threads, "files", module, "", None) as running:
            yield running


@contextmanager
def with_sql(users: int, threads: int = SQL_THREADS) -> Iterator[Side]:
    """The `sql` module with PostgreSQL and the stock queries: group replies, post-auth log, accounting."""
    with postgresql.cluster() as cluster, _directory() as directory:
        cluster.create("radius")
        _fill(cluster.conninfo("radius"), users)
        cluster.settle("radius")
        shutil.copy(STOCK / "queries.conf", directory / "queries.conf")
        module = _SQL.format(directory=directory, conninfo=cluster.conninfo("radius"), threads=threads)
        with _serve("freeradius-sql", directory, threads, "sql", module, _SQL_SECTIONS, cluster.pid) as running:
            yield running


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="lgbench-fr-", dir="/var/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _serve(
    name: str, directory: Path, threads: int, modules: str, module: str, sections: str, database_pid: int | None
) -> Iterator[Side]:
    auth_port, acct_port = processes.free_port(), processes.free_port()
    text = _CONFIGURATION.format(
        directory=directory, threads=threads, nas=population.NAS_ADDRESS, secret=population.SECRET.decode(),
        auth_port=auth_port, acct_port=acct_port, name=modules, module=module, sections=sections,
        instantiate="expr" if sections else "",
    )  # fmt: skip
    (directory / "radiusd.conf").write_text(text)
    (directory / "dictionary").write_text("")
    log = directory / "log"
    process = processes.start([BINARY, "-f", "-d", str(directory), "-n", "radiusd", "-l", "stdout"], log)
    try:
        processes.wait_answering(auth_port, process, log)
        yield Side(name, auth_port, acct_port, process.pid, database_pid)
    finally:
        processes.stop(process)


def _quoted(value: str) -> str:
    return value if value.startswith("0x") or value.isdecimal() else f'"{value}"'


def _fill(conninfo: str, users: int) -> None:
    """The stock schema, every user with a password and a group, the reply on the group."""
    schema = STOCK / "schema.sql"
    if not os.access(schema, os.R_OK):
        raise RuntimeError(f"{schema} cannot be read: run as root, or join the group freerad")
    with psycopg.connect(conninfo) as connection:
        connection.execute(schema.read_bytes())
        with connection.cursor() as cursor:
            with cursor.copy("COPY radcheck (username, attribute, op, value) FROM STDIN") as copy:
                for number in range(users):
                    copy.write_row(
                        (population.username(number), "Cleartext-Password", ":=", population.password(number))
                    )
            with cursor.copy("COPY radusergroup (username, groupname, priority) FROM STDIN") as copy:
                for number in range(users):
                    copy.write_row((population.username(number), population.PLAN, 1))
            with cursor.copy("COPY radgroupreply (groupname, attribute, op, value) FROM STDIN") as copy:
                for attribute, value in _REPLY:
                    copy.write_row((population.PLAN, attribute, "=", value))
