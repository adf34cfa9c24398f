"""Runs every block of shell in docs/deploy.md and docs/operate.md as it is printed, or of the pages that are named.

`aws` is the AWS CLI before an emulator. What the emulator lacks is checked up to the CLI's own check of its arguments, and
then counts as done. `sam`, `gh`, `git` and `curl` only note their arguments; SAM's own parser reads those of `sam deploy`.
The blocks that ran whole, on the emulator alone, are named below."""

import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import warnings

logging.disable()
warnings.simplefilter("ignore")

ROOT = pathlib.Path.cwd()
PLACES = {"REGION": "eu-central-1", "ACCOUNT": "123456789012"}
# The first line of each block that must not need anything but the emulator.
WHOLE = {
    "operate.md": [
        "STACK=sessions-prod",
        "aws dynamodb update-time-to-live",
        "aws logs create-log-group",
        "SINCE=2026-11-24T12:00:00Z",
        "QUERY=$(aws logs start-query",
        "sam deploy --config-env prod --parameter-overrides file://parameters.yaml Rollout=AllAtOnce &&",
        "aws dynamodb query",
        "LEFT=sessions-prod-SessionTable-ABCDEFGHIJKL",
    ],
    "deploy.md": [
        "SECRET=$(aws secretsmanager create-secret",
        "TOPIC=$(aws sns create-topic",
        "cat >parameters.yaml",
        "python3 scripts/check-parameters",
        "TABLE=$(aws cloudformation describe-stacks",
        "export JWT_SECRET",
        "aws secretsmanager create-secret",
    ],
}

# Each word of the template is an output of the real stack.
STACK = """{"Resources": {"SessionTable": {"Type": "AWS::DynamoDB::Table", "Properties": {
  "TableName": "%s-SessionTable-A1", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [
    {"AttributeName": "user_id", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
  "AttributeDefinitions": [{"AttributeName": "user_id", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}]}}},
 "Outputs": {"Url": {"Value": "http://127.0.0.1:9"}, "TableName": {"Value": "%s-SessionTable-A1"}, "FunctionName": {"Value": "f"},
  "FunctionLogName": {"Value": "function-log"}, "AccessLogName": {"Value": "access-log"}, "CheckLogName": {"Value": "check-log"},
  "ApiId": {"Value": "abcde12345"}, "DomainTarget": {"Value": "d-1.example.com"}}}"""

AWS = """#!/bin/bash
# The real CLI; what only the emulator refuses counts as done.
answer=$({python} -m awscli "$@" 2>"$ERRORS"); code=$?
# The emulator's stack has no version of the function.
case "$*" in "cloudformation list-stack-resources"*) answer=arn:aws:lambda:eu-central-1:123456789012:function:f:7 ;; esac
if [ $code -eq 0 ]; then printf '%s\\n' "$answer"; exit 0; fi
if [ $code -eq 252 ] || grep -qE 'usage:|Unknown options|Parameter validation|Invalid choice|Bad value' "$ERRORS"; then
  {{ echo "aws $*"; cat "$ERRORS"; }} >>"$WRONG"; exit 252
fi
echo "aws $*" >>"$LACKING"; echo emulated
case "$*" in "lambda invoke"*) echo '{{"statusCode": 200}}' >"${{@: -1}}" ;; esac
"""
NOTED = """#!/bin/bash
printf '%s' "{name}" >>"$NOTED"; printf ' %q' "$@" >>"$NOTED"; echo >>"$NOTED"
case "{name} $*" in curl*client_credentials*) echo '{{"access_token": "t"}}' ;; curl*jwks*) echo '{{"keys": [{{"kid": "1"}}]}}' ;;
  "curl -sI"*) echo "date: Tue, 24 Nov 2026 12:00:00 GMT" ;;
  "gh variable get"*) printf 'PanelOrigins: https://panel.example.com\\nRollout: Canary10Percent5Minutes\\n' ;; esac
"""


def blocks(page: str) -> list:
    """The blocks of shell of a page, without their indentation."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(r"\b(REGION|ACCOUNT)\b", lambda match: PLACES[match[0]], textwrap.dedent(text)) for _, text in found]


class Shell:
    """A directory with what the blocks use, and one shell for all blocks of a page, as a person has."""

    def __init__(self, work: pathlib.Path, endpoint: str):
        self.work, self.bin = work, work / "bin"
        self.bin.mkdir()
        self.stub("aws", AWS.format(python=sys.executable))
        for name in ("sam", "gh", "git", "curl", "pip"):
            self.stub(name, NOTED.format(name=name))
        self.stub("sleep", "#!/bin/bash\n")
        # The interpreter that has the YAML parser; its own environment is not made again here.
        self.stub("python3", f'#!/bin/bash\n[ "$1 $2" = "-m venv" ] && exit 0\nexec {sys.executable} -B "$@"\n')
        for name in ("scripts", "events", "template.yaml", "examples", ".github"):
            (work / name).symlink_to(ROOT / name)
        self.stub_end_sessions()
        notes = {name: str(work / name.lower()) for name in ("NOTED", "WRONG", "LACKING", "ERRORS")}
        home = work / "home"
        (home / ".venvs/sam/bin").mkdir(parents=True)
        (home / ".venvs/sam/bin/activate").write_text("")
        self.environment = os.environ | notes | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(home),
            "ADMIN": "token",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": PLACES["REGION"],
            "AWS_PAGER": "",
        }

    def stub(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def stub_end_sessions(self) -> None:
        """The scripts are real, apart from those that need the service."""
        scripts = self.work / "scripts"
        scripts.unlink()
        shutil.copytree(ROOT / "scripts", scripts)
        for name in ("end-sessions", "smoke.py"):
            text = (scripts / name).read_text()
            (scripts / name).write_text(text.replace('if __name__ == "__main__":', 'if __name__ == "__main__" and "127.0.0.1:9" not in sys.argv[1]:'))

    def run(self, text: str) -> str:
        """Runs a block after those before it, and returns its complaint."""
        state = self.work / "state"
        before = state.read_text() if state.exists() else ""
        # The next block gets the variables and functions of this one.
        script = f"{before}\ncd {self.work}\nset -o pipefail\n{text}\nstatus=$?\n"
        script += f"{{ declare -p | grep -E '^declare -(-|x) [A-Z_]+=' | grep -vE ' (BASH|PATH|SHELLOPTS|PPID|UID|EUID)'; declare -f; }} >{state}\nexit $status\n"
        done = subprocess.run(["bash", "-c", script], env=self.environment, capture_output=True, text=True, timeout=600)
        return "" if done.returncode == 0 else f"exit {done.returncode}\n{done.stdout}{done.stderr}"

    def notes(self, name: str) -> str:
        path = self.work / name
        return path.read_text() if path.exists() else ""


def prepare(shell: Shell) -> None:
    """The stacks that the pages speak of, and what only some pages need."""
    for name in ("sessions-dev", "sessions-prod"):
        assert not shell.run(f"aws cloudformation create-stack --stack-name {name} --template-body '{STACK % (name, name)}'")
    assert not shell.run("aws logs create-log-group --log-group-name check-log")
    assert not shell.run("aws dynamodb create-table --table-name sessions-prod-SessionTable-ABCDEFGHIJKL --billing-mode PAY_PER_REQUEST"
                         " --key-schema AttributeName=a,KeyType=HASH --attribute-definitions AttributeName=a,AttributeType=S")
    assert not shell.notes("lacking"), shell.notes("lacking")
    (shell.work / "state").unlink()


def check_page(page: str, shell: Shell) -> None:
    ran, whole = blocks(page), set()
    for text in ran:
        lacking = shell.notes("lacking")
        complaint = shell.run(text)
        wrong = shell.notes("wrong")
        assert not wrong, f"docs/{page}: the AWS CLI refuses\n{wrong}"
        assert not complaint, f"docs/{page}:\n{text}\n{complaint}"
        if shell.notes("lacking") == lacking:
            whole |= {start for start in WHOLE[page] if text.startswith(start)}
    missing = set(WHOLE[page]) - whole
    assert not missing, f"docs/{page}: these did not run on the emulator alone: {missing}\n{shell.notes('lacking')}"
    print(f"docs/{page}: {len(ran)} blocks of shell run as printed, {len(whole)} of them on the emulator alone")


def check_sam(noted: str) -> None:
    """SAM's own command line takes what the pages pass to it."""
    from samcli.commands.deploy.command import cli

    commands = {line for line in noted.splitlines() if line.startswith("sam deploy")}
    for line in commands:
        # The file and the configuration are the reader's.
        arguments = [each for each in line.split()[2:] if not each.startswith("file://")]
        arguments = [each for each in arguments if each != "--parameter-overrides" or "Rollout=AllAtOnce" in arguments]
        context = cli.make_context("deploy", arguments, resilient_parsing=False, ignore_unknown_options=False)
        given = context.params["parameter_overrides"] or {}
        assert given == ({"Rollout": "AllAtOnce"} if "Rollout=AllAtOnce" in line else {}), (line, given)
    print(f"SAM takes {len(commands)} forms of `sam deploy`")


def main() -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    try:
        noted = ""
        for number, page in enumerate(sys.argv[1:] or WHOLE):
            with tempfile.TemporaryDirectory() as work:
                shell = Shell(pathlib.Path(work), endpoint)
                if number == 0:
                    prepare(shell)
                check_page(page, shell)
                noted += shell.notes("noted")
        check_sam(noted)
    finally:
        server.stop()


main()
