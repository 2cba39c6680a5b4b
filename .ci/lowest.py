"""Print the lowest version of each library that pyproject.toml allows, as constraints of pip."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

AT_LEAST = re.compile(r"([\w-]+)(?:\[.*\])?>=([\d.]+)")

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
groups = (project["dependencies"], *project["optional-dependencies"].values())
bounds = {found.groups() for line in chain(*groups) if (found := AT_LEAST.match(line))}
sys.stdout.writelines(f"{name}=={version}\n" for name, version in sorted(bounds))
