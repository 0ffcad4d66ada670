"""The command line. Bad input ends with one clear line and exit status 2; `--json` prints data for machines."""

import click

from ledgate.cli.asking import params_command, sessions_command
from ledgate.cli.attempts import attempts_command
from ledgate.cli.changing import confirm_command, jobs_command, load_command, preview_command
from ledgate.cli.explain import explain_command
from ledgate.cli.hold import hold_command
from ledgate.cli.lab import lab_command
from ledgate.cli.leniency import acknowledge_command, exempt_command
from ledgate.cli.money import charge_command, pay_command
from ledgate.cli.pools import pools_command
from ledgate.cli.radtest import radtest_command
from ledgate.cli.routers import routers_command
from ledgate.cli.serving import config_command, demo_command, migrate_command, run_command
from ledgate.cli.suspend import suspend_command, suspensions_command, unsuspend_command
from ledgate.cli.terminal import OneLine


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", "config_file", metavar="FILE", help="TOML file of settings (default: LEDGATE_CONFIG).")
@click.version_option(package_name="ledgate")
@click.pass_context
def main(context: click.Context, config_file: str | None) -> None:
    """Ledgate: a RADIUS AAA server whose verdict is a function of the ledger."""
    context.obj = config_file


for _command in (
    run_command,
    demo_command,
    migrate_command,
    config_command,
    load_command,
    preview_command,
    confirm_command,
    jobs_command,
    hold_command,
    pay_command,
    charge_command,
    suspend_command,
    unsuspend_command,
    suspensions_command,
    exempt_command,
    acknowledge_command,
    explain_command,
    params_command,
    sessions_command,
    attempts_command,
    pools_command,
    routers_command,
    radtest_command,
    lab_command,
):
    main.add_command(_command)
