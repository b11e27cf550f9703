"""The rules of the layout: what stands where, and which part may import which."""

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions, version
from pathlib import Path
from tomllib import loads

import pytest

import kanal
import kanal.delivery.tables  # which are in the same METADATA
from kanal.eventlog.tables import METADATA
from kanal.settings import Settings

ROOT = Path(__file__).parents[1]

# Folders of the root that hold programs and papers, not parts of the package.
NOT_PACKAGED = {"bench", "build", "data", "demo", "dist", "docs", "examples", "tests"}
ROOT_MODULES = {"__init__", "__main__", "bootstrap", "settings"}

# The arrows of docs/architecture.md. Root modules may import everything.
MAY_IMPORT = {
    "domain": {"domain"},
    "eventlog": {"domain", "eventlog"},
    "projections": {"domain", "eventlog", "projections"},
    "delivery": {"domain", "eventlog", "delivery"},
    "automation": {"domain", "eventlog", "projections", "automation"},
    "http": {"domain", "eventlog", "projections", "delivery", "automation", "http"},
}
# The domain is pure: beside the standard library only this, and of the standard library nothing
# that reads a clock, draws at random, waits or touches the outside.
DOMAIN_LIBRARIES = {"msgspec"}
IMPURE = {
    *("asyncio", "logging", "os", "random", "secrets", "socket", "sqlite3", "subprocess"),
    *("tempfile", "threading", "time"),
}

# Needed without being imported: the zones of zoneinfo where the system has none; the files of
# Swagger UI.
USED_UNSEEN = {"offapi", "tzdata"}
# The types of aiohttp's and pydantic's own interfaces, in versions that those two choose.
IMPLIED = {"kanal", "multidict", "pydantic-core", "yarl"}

# Alembic runs it, inside a migration only.
NOT_IMPORTABLE = {"kanal.eventlog.migrations.env"}

# Run with warnings as errors, in an interpreter that has imported nothing yet.
IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def folders() -> list[Path]:
    """The root's folders that make up the package."""
    return [
        folder
        for folder in sorted(ROOT.iterdir())
        if folder.is_dir()
        and not folder.name.startswith(".")
        and folder.name not in NOT_PACKAGED
        and any(folder.rglob("*.py"))
    ]


def modules() -> list[Path]:
    """Every file of the package."""
    return sorted([*ROOT.glob("*.py"), *(file for top in folders() for file in top.rglob("*.py"))])


def dotted(file: Path) -> str:
    parts = ("kanal", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> set[str]:
    """Absolute names of what a file imports; of `from kanal import x` both parts."""
    return imports_of(ast.parse(file.read_text()), file)


def imports_of(tree: ast.Module, file: Path) -> set[str]:
    package = dotted(file) if file.name == "__init__.py" else dotted(file).rpartition(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            found |= {f"{module}.{name.name}" for name in node.names}
    return found


def imported_first(file: Path) -> set[str]:
    """As `imports`, without what is imported by functions when they are called, or for the type checker alone."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.body = []
            case ast.If() if ast.unparse(node.test).endswith("TYPE_CHECKING"):
                node.body = []
    return imports_of(tree, file)


def parts_of(name: str) -> set[str]:
    """The packages above it, and itself."""
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def reads_environment(file: Path) -> bool:
    names = {"environ", "environb", "getenv"}
    nodes = ast.walk(ast.parse(file.read_text()))
    return bool(imports(file) & {f"os.{name}" for name in names}) or any(
        isinstance(node, ast.Attribute) and node.attr in names for node in nodes
    )


def layer(name: str) -> str:
    """`domain` of `kanal.domain.cases`; of a name outside the package its first part."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "kanal" else first


def setup_cfg() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_http_has_no_init_so_the_standard_library_is_not_shadowed() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()
    subprocess.run([sys.executable, "-c", "import http.client"], cwd=ROOT, check=True)


def test_no_module_in_http_bears_a_name_of_the_standard_library() -> None:
    assert not {file.stem for file in (ROOT / "http").glob("*.py")} & sys.stdlib_module_names


def test_the_root_holds_only_its_own_modules() -> None:
    assert {file.stem for file in ROOT.glob("*.py")} == ROOT_MODULES


def test_the_package_list_is_the_list_of_folders() -> None:
    holding = {
        "kanal",
        *(dotted(top) for top in folders()),
        *(dotted(file.parent) for file in modules() if file.parent != ROOT),
    }
    assert set(setup_cfg()["options"]["packages"].split()) == holding


def test_every_package_but_http_has_an_init() -> None:
    without = {file.parent for file in modules() if not (file.parent / "__init__.py").exists()}
    assert without <= {ROOT / "http"}


def test_no_init_stands_in_the_tests() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_tools_know_every_part() -> None:
    tops = {folder.name for folder in folders()}
    makefile = (ROOT / "Makefile").read_text()
    linked = makefile.partition("LINKED = ")[2].partition("\n\n")[0].replace("\\", " ").split()
    bans = loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    banned = set(bans["flake8-tidy-imports"]["banned-api"])
    assert {name for name in linked if "." not in name} == tops
    assert tops - {"http"} <= banned
    assert set(MAY_IMPORT) == tops


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    wrong = {
        f"{dotted(file)} imports {name}"
        for file in (ROOT / part).rglob("*.py")
        for name in imports(file)
        if name.startswith("kanal.")
        and name != "kanal.__version__"
        and layer(name) not in MAY_IMPORT[part]
    }
    assert not wrong


def test_the_domain_is_pure() -> None:
    allowed = (set(sys.stdlib_module_names) - IMPURE) | DOMAIN_LIBRARIES | {"kanal"}
    wrong = {
        f"{dotted(file)} imports {name}"
        for file in (ROOT / "domain").rglob("*.py")
        for name in imports(file)
        if name.partition(".")[0] not in allowed
    }
    assert not wrong


def test_only_settings_reads_the_environment() -> None:
    readers = {dotted(file) for file in modules() if reads_environment(file)}
    assert not readers


def test_the_dependencies_are_the_libraries_that_are_imported() -> None:
    lines = setup_cfg()["options"]["install_requires"].split("\n")
    declared = {re.split(r"[\[<>=;]", line)[0] for line in lines if line}
    distributions = packages_distributions()
    imported = {
        distribution.lower().replace("_", "-")
        for file in modules()
        for name in imports(file)
        for distribution in distributions.get(name.partition(".")[0], [])
    }
    unused, undeclared = declared - USED_UNSEEN - imported, imported - declared - IMPLIED
    assert (unused, undeclared) == (set(), set())


def test_every_setting_is_used() -> None:
    used = {
        node.attr
        for file in modules()
        if file != ROOT / "settings.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
    }
    unused = set(Settings.model_fields) - used
    assert not unused


def test_examples_import_nothing_of_kanal() -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / "examples").rglob("*.py")
        for name in imports(file)
        if name.partition(".")[0] == "kanal"
    }
    assert not wrong


def test_every_module_imports() -> None:
    ours = sorted({dotted(file) for file in modules()} - NOT_IMPORTABLE)
    command = [sys.executable, "-W", "error", "-c", IMPORT_ALL, *ours]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_modules_import_each_other_in_no_circle() -> None:
    """Else which of them may be imported first would depend on luck."""
    files = {dotted(file): file for file in modules()}
    needed: dict[str, set[str]] = {}
    for name, file in files.items():
        found = {part for each in imported_first(file) for part in parts_of(each)} & files.keys()
        needed[name] = found - parts_of(name)
    try:
        list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        pytest.fail(" needs ".join(reversed(error.args[1])), pytrace=False)


def test_every_kept_table_is_told_of() -> None:
    """Whoever backs up, moves or erases has to know them all."""
    told = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert not {table for table in METADATA.tables if f"`{table}`" not in told}


def test_the_version_stands_in_one_place() -> None:
    assert version("kanal") == kanal.__version__
