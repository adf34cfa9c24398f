"""scripts/check-parameters refuses what SAM would drop or mangle, and lets pass what the documentation shows."""

import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

GOOD = "PanelOrigins: [https://panel.example.com, https://admin.example.com]\nRollout: Canary10Percent5Minutes\n"
KEYS = """Jwks: '{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"a","y":"b"}]}'\n"""
BAD = {
    "a name in other letters": ("AlarmTopicARN: arn:aws:sns:eu-central-1:123456789012:x", "do you mean AlarmTopicArn"),
    "a map": ('Jwks: {"keys": []}', "dict"),
    "a truth value": ("RequireSid: true", "bool"),
    "a date": ("JwtIssuer: 2026-11-24", "date"),
    "a list of maps": ("PanelOrigins: [{a: b}]", "list"),
    "a name twice": ("MaxSessions: 3\nMaxSessions: 4", "twice"),
    "a number out of range": ("MaxSessions: 0", "between 1 and 1000"),
    "a unit": ("Timeout: 25s", "no whole number"),
    "a value that is not allowed": ("AuthMode: gateway", "none of jwks, hs256"),
    "a pattern": ("PanelOrigins: https://*.example.com", "without a wildcard"),
    "no key set": ("Jwks: '{\"key\": 1}'", "not the JSON text of a key set"),
    "Python's text of a key set": ("Jwks: \"{'keys': []}\"", "not the JSON text of a key set"),
    "a private key": ("Jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\"x\"}]}'", "private"),
    "the emergency's rollout": ("Rollout: AllAtOnce", "one deployment"),
    "no YAML": ("PanelOrigins: [", "expected"),
}


def checked(text: str) -> tuple:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([sys.executable, "scripts/check-parameters", file.name], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


for name, (line, complaint) in BAD.items():
    key = line.split(":")[0]
    others = "".join(each + "\n" for each in GOOD.splitlines() if not each.startswith(key + ":"))
    status, text = checked(others + line + "\n")
    assert status == 1 and complaint in text, (name, text)

# The lines that docs/deploy.md shows. .ci/runbooks.py makes the rest of its file and checks it there.
page = pathlib.Path("docs/deploy.md").read_text()
shown = re.findall(r"^ *```yaml\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
assert shown
for text in (KEYS, *map(textwrap.dedent, shown)):
    status, found = checked(GOOD + text)
    assert status == 0, found
print(f"the check refuses {len(BAD)} mistakes, and the lines of docs/deploy.md pass")
