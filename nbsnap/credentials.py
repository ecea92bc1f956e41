"""Credentials for S3 from the files that Amazon's own tools write, without boto3.

obstore finds what stands in the environment, and asks a web identity, a container or the machine (instance metadata).
It does not read `~/.aws/credentials` and `~/.aws/config`: that is done here, for plain keys. They are read again every
few minutes, so that what a tool writes there anew is used by an upload that is under way. A profile that gets its keys
by signing in (SSO), from a role or from a program needs boto3, which is used where it is installed.

What is read here is handed to obstore and kept nowhere."""

from __future__ import annotations

import configparser
import datetime
import errno
import os
from typing import Any

__all__ = ["asks_the_machine", "for_s3"]

AGAIN = datetime.timedelta(minutes=5)
_GIVEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_BY_OTHERS = ("sso_session", "sso_start_url", "role_arn", "credential_process", "web_identity_token_file")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINTS = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def for_s3() -> dict[str, Any]:
    """Return what obstore's client is to be given beside the environment: a provider of keys, region, endpoint."""
    found = _profile()
    more: dict[str, Any] = {}
    if found.get("region") and not any(map(os.environ.get, _REGIONS)):
        more["region"] = found["region"]
    if found.get("endpoint_url") and not any(map(os.environ.get, _ENDPOINTS)):
        more["endpoint"] = found["endpoint_url"]
    if any(map(os.environ.get, _GIVEN)) or os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true"):
        return more
    if found.get("aws_access_key_id"):
        more["credential_provider"] = _keys
    elif how := next((key for key in _BY_OTHERS if found.get(key)), ""):
        more["credential_provider"] = _by_boto3(how)
    return more


def asks_the_machine() -> bool:
    """Tell whether nothing says where credentials are, so that the machine is asked, which may have none."""
    found = _profile()
    told = [*_GIVEN, "AWS_SKIP_SIGNATURE"]
    return not any(map(os.environ.get, told)) and not any(map(found.get, ("aws_access_key_id", *_BY_OTHERS)))


def _keys() -> dict[str, Any]:
    """Return the keys that the profile has now."""
    found = _profile()
    return {
        "access_key_id": found.get("aws_access_key_id", ""),
        "secret_access_key": found.get("aws_secret_access_key", ""),
        "token": found.get("aws_session_token") or None,
        "expires_at": datetime.datetime.now(datetime.UTC) + AGAIN,
    }


def _by_boto3(how: str) -> Any:
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise OSError(
            errno.EACCES,
            f"the profile {_name()} gets its keys by {how}, which needs boto3: pip install boto3, or put keys into"
            " the environment (aws configure export-credentials --format env)",
        ) from None
    try:
        return Boto3CredentialProvider()
    except Exception as error:
        raise OSError(
            errno.EACCES, f"boto3 has no credentials for the profile {_name()} ({type(error).__name__})"
        ) from None


def _name() -> str:
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"


def _profile() -> dict[str, str]:
    """Return what the two files say about the profile; the file of credentials comes first."""
    name = _name()
    found = _section(
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config", name if name == "default" else f"profile {name}"
    )
    found.update(_section(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", name))
    return found


def _section(path: str, name: str) -> dict[str, str]:
    reader = configparser.RawConfigParser(strict=False)
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            reader.read_file(file)
        return dict(reader.items(name)) if reader.has_section(name) else {}
    except (OSError, UnicodeError, configparser.Error):
        return {}
