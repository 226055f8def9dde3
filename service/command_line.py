"""The command line of `python -m service`: settings, or one line that says what is wrong with a flag."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.settings import SECRETS, BadSetting, Settings


def read_settings(arguments: Sequence[str], program: str = "python -m service") -> Settings:
    """Return the settings of a command line and the environment; `--help` prints and exits.

    `program` is what `--help` calls the command.

    Raises:
        BadSetting: a flag is unknown or a value is not allowed.
    """
    _refuse_secrets(arguments)
    try:
        return Settings(
            _cli_parse_args=list(arguments),
            _cli_prog_name=program,
            _cli_kebab_case=True,
            _cli_implicit_flags=True,
            _cli_exit_on_error=False,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise BadSetting(message) from None
        name = str(first["loc"][0])
        flag, variable = f"--{name.replace('_', '-')}", f"LATENT_{name.upper()}"
        if name == "port":
            variable += " or PORT"
        if name in SECRETS:
            raise BadSetting(f"{variable}: {message}") from None
        raise BadSetting(f"{flag} (or {variable}): {message}, not {first['input']!r}") from None
    except SettingsError as error:
        raise BadSetting(str(error).removeprefix("error parsing CLI: ")) from None


def _refuse_secrets(arguments: Sequence[str]) -> None:
    for name in SECRETS:
        flag = f"--{name.replace('_', '-')}"
        if any(argument.partition("=")[0] == flag for argument in arguments):
            raise BadSetting(
                f"{flag}: other processes can read a command line; use LATENT_{name.upper()} or {flag}-file"
            )
