"""The starter in, a project of one's own out."""

import re
import shutil
from pathlib import Path

from segflow.errors import ProjectError

_PARTS = ("models", "seeds", "macros", "tests/data", "segflow.yml")


def copy_starter(folder: Path) -> None:
    """Copy models, seeds, macros, tests and config; the project takes the folder's name.

    Raises:
        ProjectError: the folder exists already, or its name cannot name a project.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", folder.name):
        raise ProjectError(
            f"`{folder.name}` is no name for a project: a letter first, then letters, digits and _"
        )
    if folder.exists():
        raise ProjectError(f"{folder} exists already", hint="name a folder that does not")
    if not folder.parent.is_dir():
        raise ProjectError(f"there is no folder {folder.parent}", hint="make it first")
    scratch = folder.with_name(f".{folder.name}.new")
    try:
        _copy(_starter(), scratch)
        config = scratch / "segflow.yml"
        config.write_text(_renamed(config.read_text("utf-8"), folder.name), "utf-8")
        (scratch / ".gitignore").write_text("/target/\n/warehouse/\n/exports/\n", "utf-8")
        scratch.rename(folder)
    except OSError as error:
        raise ProjectError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _starter() -> Path:
    """The starter inside an installed package, else the repository that this file stands in."""
    package = Path(__file__).parent.parent
    return package / "starter" if (package / "starter").is_dir() else package.parent


def _copy(starter: Path, folder: Path) -> None:
    """The generator stays behind: a company of one's own has customers already."""
    ignored = shutil.ignore_patterns("__pycache__", "generat*")
    for part in _PARTS:
        if (starter / part).is_dir():
            shutil.copytree(starter / part, folder / part, ignore=ignored)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(starter / part, folder / part)


def _renamed(text: str, name: str) -> str:
    """The starter's segflow.yml under another project name, which its folder config repeats."""
    text = re.sub(r"^name: starter$", f"name: {name}", text, flags=re.MULTILINE)
    return re.sub(r"^  starter:$", f"  {name}:", text, flags=re.MULTILINE)
