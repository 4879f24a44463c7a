#!/usr/bin/env bash
# Holds the SBOMs named against CycloneDX's own schema. The checker is a Python package, installed once into a folder of the cache.
#
#   scripts/sbom-check.sh FILE...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

package="cyclonedx-python-lib[json-validation]==11.12.0"
need python3 "Debian: apt-get install python3 python3-venv"
checker=$cache/sbom-check/$(echo "$package" | sha256sum | cut -c1-16)
if [ ! -e "$checker/done" ]; then
	rm -rf "$checker"
	mkdir -p "$(dirname "$checker")"
	python3 -m venv "$checker"
	"$checker/bin/pip" install -q --disable-pip-version-check "$package"
	touch "$checker/done"
fi
"$checker/bin/python" - "$@" <<'END'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

for name in sys.argv[1:]:
    with open(name) as f:
        fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(f.read())
    if fault:
        sys.exit(f"{name}: {fault}")
    print(f"{name}: valid CycloneDX 1.6")
END
