"""The MLflow store: its address, its secrets, its first use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import home, without_secret
from hmr_light.tracking.moved_store import follow_store
from hmr_light.tracking.schema import other_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")

# MLflow's own patience (7 retries, 120 s each) is 4 minutes; the journal waits better than a process does.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Unreachable(UserError):
    """The store does not answer now; it may later."""


def default_uri(home: Path) -> str:
    """One SQLite file at an absolute path."""
    return f"sqlite:///{home}/mlflow.db"


def normal_uri(uri: str) -> str:
    """`uri` with the path of a SQLite file made absolute. Raises `UserError` if MLflow could not keep runs there."""
    try:
        parts = urlsplit(uri)
        scheme, port = parts.scheme.partition("+")[0], parts.port
        if scheme in ("http", "https") and (not parts.hostname or port == 0 or "@" in parts.path + parts.query):
            raise ValueError
    except ValueError:  # its text may quote a part of the password
        raise UserError(
            f"tracking.uri={without_secret(uri)} is no address",
            "Give http://host:port. In a user's name or password write @ / ? # : as %40 %2F %3F %23 %3A.",
        ) from None
    if scheme not in SCHEMES:
        raise UserError(
            f"tracking.uri={without_secret(uri)} is not a tracking store",
            "Give sqlite:////absolute/path/mlflow.db or http://host:port; tracking=journal keeps the journal alone.",
        )
    if scheme == "sqlite":
        if not uri.partition(":///")[2]:
            raise UserError(f"tracking.uri={uri} names no file", "Give sqlite:////absolute/path/mlflow.db.")
        return f"sqlite:///{sqlite_path(uri)}"
    return uri


def sqlite_path(uri: str) -> Path:
    """The file of a SQLite URI."""
    return Path(uri.partition(":///")[2]).expanduser().absolute()


def redacted(text: str, uri: str) -> str:
    """A message of others, which may quote the URI or a part of it, without the URI's secrets."""
    text = text.replace(uri, without_secret(uri))
    place, _, query = uri.partition("?")
    secrets = [place.partition("://")[2].rpartition("@")[0].partition(":")[2], query]
    secrets += [pair.partition("=")[2] for pair in query.split("&")]
    for secret in sorted({form for one in secrets for form in (one, unquote(one), quote(one)) if form}, key=len)[::-1]:
        text = text.replace(secret, "***")
    return re.sub(r"//[^/@\s]*@", "//", text)


def safe_text(text: object, uri: str) -> str:
    """The first line of a message of others, without the secrets of `uri`."""
    line = next((line.strip() for line in str(text).splitlines() if line.strip()), type(text).__name__)
    return redacted(line, uri)[:300]


def connect(uri: str, *, create: bool) -> MlflowClient:
    """A client of the store at `uri` (normal form), which has answered once. Imports MLflow (seconds).

    Raises `Unreachable` if it does not answer; `UserError` if it is missing and `create` is false, or no store at all.
    """
    if uri.startswith("sqlite:") and not create and not sqlite_path(uri).is_file():
        raise UserError(
            f"there is no tracking store at {sqlite_path(uri)}",
            "Train a run first, or name the store: tracking.uri=sqlite:////absolute/path/mlflow.db",
        )
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    uri = _hand_over_secret(uri)

    import mlflow
    from mlflow.exceptions import MlflowException

    own = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    # MLflow has exported it; commands that are printed may rely on the variable only where the user has set it.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if own is not None:
        os.environ["MLFLOW_TRACKING_URI"] = own
    try:
        with _first_use(uri):
            if uri.startswith("sqlite:") and sqlite_path(uri).is_file():
                follow_store(sqlite_path(uri))
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
    except MlflowException as error:
        raise refusal(error, uri) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"{without_secret(uri)} needs the package {error.name}, which is not installed",
            "For PostgreSQL: pip install 'hmr-light[postgres]'",
        ) from error
    except Exception as error:  # each database driver has its own
        raise Unreachable(
            f"the tracking store {without_secret(uri)} cannot be used: {safe_text(error, uri)}",
            "Is it an MLflow store, and can you write to it?",
        ) from error
    return client


def refusal(error: Any, uri: str) -> UserError:
    """An `MlflowException` as the user's error: the store is out of reach, or does not let us in."""
    where, text = f"MLflow at {without_secret(uri)}", str(error)
    if (other := re.search(r"database schema \(found version (\w+)", text)) and not uri.startswith("http"):
        found = other_version(other[1], uri)
        return Unreachable(found.message, found.remedy)
    if getattr(error, "error_code", "") in ("UNAUTHENTICATED", "PERMISSION_DENIED") or re.search(
        r"code 40[13]\b", text
    ):
        return Unreachable(
            f"{where} does not let us in",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
        )
    if "failed with exception" in text:  # no answer at all; the text is urllib3's, a screen long
        reason = re.search(r"Connection refused|timed out|Name or service not known|certificate verify failed", text)
        return Unreachable(
            f"{where} does not answer{f' ({reason[0]})' if reason else ''}",
            "Is the server running, and is the address right? See tracking.uri=",
        )
    return Unreachable(f"{where}: {safe_text(text, uri)}", "Is that an MLflow server? See tracking.uri=")


def no_experiment(name: str, names: Sequence[str]) -> UserError:
    """The error for an experiment that a store with the experiments `names` lacks."""
    remedy = did_you_mean(name, [one for one in names if one != "Default"])
    return UserError(f"the tracking store has no experiment '{name}'", remedy or "Train a run first: hmr-light train")


def deleted_experiment(name: str, experiment_id: str, uri: str) -> UserError:
    """The error for an experiment that somebody has deleted in MLflow, which keeps it."""
    restore = f"python -m mlflow experiments restore --experiment-id {experiment_id}"
    return UserError(
        f"the experiment '{name}' was deleted in MLflow",
        f"Bring it back: MLFLOW_TRACKING_URI={shlex.quote(without_secret(uri))} {restore}\n"
        "  or use another name: tracking.experiment=NAME",
    )


def _hand_over_secret(uri: str) -> str:
    # In the environment the password is in no URL, hence in none of MLflow's messages.
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextlib.contextmanager
def _first_use(uri: str) -> Iterator[None]:
    # MLflow makes the tables on first use; two processes that do so together break the store.
    if uri.startswith(("http:", "https:")):
        yield
        return
    path = sqlite_path(uri) if uri.startswith("sqlite:") else home() / "mlflow"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(path.with_name(f"{path.name}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
