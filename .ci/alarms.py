"""Which alarm rings in which case. The template's alarms are evaluated over made metrics, at two requests a minute and at
a thousand: each fault below must ring its alarm within five minutes, the runbook must have that alarm's
section, and nothing may ring while all is well.

The evaluation follows CloudWatch's documentation: every minute, over the last EvaluationPeriods periods that end in
that minute, with DatapointsToAlarm of them breaching (docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring,
"Evaluating an alarm" and "Using metric math"). It knows no delay of metrics; on AWS they come one to two minutes late."""

import re
import sys

import cloudformation
from moto import mock_aws

PARAMETERS = {
    "PanelOrigins": "https://panel.example.com",
    "AuthMode": "jwks",
    "JwksUrl": "https://issuer.example.com/keys",
    "JwtIssuer": "https://issuer.example.com",
    "JwtAudience": "panel",
    "SessionIdClaim": "session_id",
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:on-call",
    "TableKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef",
    "MinimumTraffic": "5",
    "ScheduledCheck": "true",
}
RATES = (2, 1000)  # requests a minute
CALM = 10  # minutes before the fault
WITHIN = 5  # minutes until an alarm must ring
CHECK_REQUESTS = 6  # what the scheduled check sends every second minute
CHECK_ALARMS = {"ServiceCheckAlarm", "SettingsAlarm"}
NEW_VERSION_SHARE = 0.1  # of the requests, during a canary

API, FUNCTION, TABLE = "<Api>", "<Function>", "<SessionTable>"
VERSION = "new"


# The faults: what they change in a minute's metrics, and the alarm that must ring. `n` is the number of
# requests in that minute.
def everybody(**codes):
    """All requests are refused with a code."""
    return lambda minute, n: minute.refuse(n, **codes)


def slow(minute, n):
    minute.durations = [5000] * n


def unavailable(minute, n):
    minute.fail(n, "store_unavailable")


def no_traffic(minute, n):
    minute.__init__(0, minute.checked)
    minute.check_finds(failed=1)


def no_traffic_without_check(minute, n):
    minute.__init__(0, False)


def function_log_gone(minute, n):
    minute.log_gone()


def access_log_gone(minute, n):
    minute.forget("AWS/Logs", LogGroupName="<AccessLog>")


def ten_times_the_log(minute, n):
    minute.add("AWS/Logs", "IncomingBytes", 9 * 1500 * n, LogGroupName="<FunctionLog>")


def one_user_throttled(minute, n):
    # One request a minute, and the SDK tries it four times.
    minute.put("AWS/DynamoDB", "ReadThrottleEvents", 4, TableName=TABLE)
    minute.fail(1, "store_unavailable")


def dynamodb_down(minute, n):
    minute.put("AWS/DynamoDB", "SystemErrors", 4 * n, TableName=TABLE, Operation="Query")
    minute.fail(n, "store_unavailable")


def key_disabled(minute, n):
    minute.put("Sessions", "sessions-dev.TableKeyErrors", n)
    minute.fail(n, "internal_error")


def wrong_setting(minute, n):
    minute.check_finds(wrong=1)


def check_silent(minute, n):
    minute.forget("Sessions", Stack="sessions-dev")


def clock_ahead(minute, n):
    minute.put("Sessions", "FutureTokens", n, Function=FUNCTION)


def keys_unreachable(minute, n):
    # One fetch in ten seconds for each process.
    minute.put("Sessions", "KeysFetchFailed", min(n, 6), Function=FUNCTION)


def one_route_fails(minute, n):
    minute.fail(1, "internal_error")


def does_not_start(minute, n):
    minute.put("AWS/Lambda", "Errors", n, FunctionName=FUNCTION)
    minute.put("AWS/ApiGateway", "5xx", n, ApiId=API)


def throttled_by_lambda(minute, n):
    minute.put("AWS/Lambda", "Throttles", n, FunctionName=FUNCTION)


def many_locks(minute, n):
    minute.put("Sessions", "UsersLocked", 10, Function=FUNCTION)


def flood(minute, n):
    minute.put("Sessions", "TooManyRequests", 500, ApiId=API)


FAULTS = {
    "401 to everybody: a wrong secret or key set": (everybody(token_invalid=1), "RefusalsAlarm"),
    "401 to everybody: the token does not arrive": (everybody(token_missing=1), "RefusalsAlarm"),
    "403 to everybody: a wrong role": (everybody(admin_only=1), "RefusalsAlarm"),
    "the provider rotated its keys": (everybody(token_invalid=1), "RefusalsAlarm"),
    "the issuer's clock is ahead": (clock_ahead, "IssuerClockAlarm"),
    "the issuer's clock is behind by a token's life": (everybody(token_expired=1), "IssuerClockAlarm"),
    "the issuer's keys cannot be fetched": (keys_unreachable, "IssuerKeysAlarm"),
    "all answers are 503": (unavailable, "ApiFailuresAlarm"),
    "every answer takes 5 s": (slow, "SlowAnswersAlarm"),
    "no traffic (DNS, certificate), with the check": (no_traffic, "ServiceCheckAlarm"),
    "no traffic, with MinimumTraffic": (no_traffic_without_check, "NoTrafficAlarm"),
    "the function's log group is gone": (function_log_gone, "LogSilentAlarm"),
    "the access log's group is gone": (access_log_gone, "LogSilentAlarm"),
    "the log is ten times as large": (ten_times_the_log, "LogVolumeAlarm"),
    "one user is throttled": (one_user_throttled, "TableThrottlesAlarm"),
    "DynamoDB is down": (dynamodb_down, "TableErrorsAlarm"),
    "the table's KMS key is disabled": (key_disabled, "TableKeyAlarm"),
    "TTL is off": (wrong_setting, "SettingsAlarm"),
    "a restored table, endings not repeated": (wrong_setting, "SettingsAlarm"),
    "the check itself is silent": (check_silent, "ServiceCheckAlarm"),
    "one rare route always answers 500": (one_route_fails, "InternalErrorsAlarm"),
    "the function does not start": (does_not_start, "ErrorsAlarm"),
    "Lambda throttles": (throttled_by_lambda, "ThrottlesAlarm"),
    "a client loops": (flood, "TooManyRequestsAlarm"),
    "a script locks one user after the other": (many_locks, "LocksAlarm"),
}


class Minute:
    """The metrics of one minute in which all is well. The scheduled check runs in every second one."""

    def __init__(self, requests: int, checked: bool):
        self.values = {}
        self.checked = checked
        self.check_finds()
        requests += CHECK_REQUESTS if checked and requests else 0
        self.durations = [5] * requests
        if not requests:
            return
        self.put("AWS/ApiGateway", "Count", requests, ApiId=API)
        self.put("AWS/Lambda", "Invocations", requests, FunctionName=FUNCTION)
        self.put("AWS/Logs", "IncomingLogEvents", 4 * requests, LogGroupName="<FunctionLog>")
        self.put("AWS/Logs", "IncomingBytes", 1500 * requests, LogGroupName="<FunctionLog>")
        self.put("AWS/Logs", "IncomingLogEvents", requests, LogGroupName="<AccessLog>")
        if requests > 100:  # In a large number there is always somebody.
            self.put("Sessions", "Refused.token_expired", requests // 20, Function=FUNCTION)
            self.put("Sessions", "Rejected", requests // 100, Function=FUNCTION)
            self.put("AWS/ApiGateway", "5xx", 1, ApiId=API)
            self.durations[:2] = [3000] * 2

    def check_finds(self, failed=0, wrong=0):
        if self.checked:
            self.put("Sessions", "CheckFailed", failed, Stack="sessions-dev")
            self.put("Sessions", "WrongSettings", wrong, Stack="sessions-dev")

    def put(self, namespace, name, value, **dimensions):
        self.values[namespace, name, frozenset(dimensions.items())] = value

    def add(self, namespace, name, value, **dimensions):
        key = (namespace, name, frozenset(dimensions.items()))
        self.values[key] = self.values.get(key, 0) + value

    def forget(self, namespace, **dimensions):
        wanted = frozenset(dimensions.items())
        self.values = {key: each for key, each in self.values.items() if (key[0], key[2]) != (namespace, wanted)}

    def log_gone(self):
        """What the function itself counts comes from its log."""
        self.forget("AWS/Logs", LogGroupName="<FunctionLog>")
        self.forget("Sessions", Function=FUNCTION)

    def refuse(self, n, **codes):
        for code in codes:
            self.add("Sessions", f"Refused.{code}", n, Function=FUNCTION)
            if code != "token_expired":
                self.add("Sessions", "Rejected", n, Function=FUNCTION)

    def fail(self, n, code):
        self.add("AWS/ApiGateway", "5xx", n, ApiId=API)
        self.add("Sessions", f"Refused.{code}", n, Function=FUNCTION)

    def samples(self, namespace, name, dimensions):
        """The values of a metric; none while it is missing."""
        if (namespace, name) == ("AWS/Lambda", "Duration"):
            return self.durations
        value = self.values.get((namespace, name, dimensions))
        return [] if value is None else [value]


class Alarm:
    """Rings as CloudWatch would."""

    def __init__(self, properties: dict):
        self.of = properties
        self.periods = int(properties["EvaluationPeriods"])
        self.needed = int(properties.get("DatapointsToAlarm", self.periods))

    def rings(self, minutes: list) -> bool:
        breaching = 0
        for back in range(self.periods):
            end = len(minutes) - back * self.length
            value = self.value(minutes[max(0, end - self.length) : max(0, end)])
            breaching += self.missing if value is None else self.breaches(value)
        return breaching >= self.needed

    @property
    def length(self) -> int:
        metrics = self.of.get("Metrics", [])
        seconds = [each["MetricStat"]["Period"] for each in metrics if "MetricStat" in each]
        seconds += [each["Period"] for each in metrics if "Period" in each]
        (period,) = set(map(int, seconds or [self.of["Period"]]))
        return period // 60

    @property
    def missing(self) -> bool:
        return {"breaching": True, "notBreaching": False}[self.of["TreatMissingData"]]

    def breaches(self, value: float) -> bool:
        threshold = float(self.of["Threshold"])
        return {
            "GreaterThanThreshold": value > threshold,
            "GreaterThanOrEqualToThreshold": value >= threshold,
            "LessThanThreshold": value < threshold,
        }[self.of["ComparisonOperator"]]

    def value(self, window: list):
        if "Metrics" not in self.of:
            return statistic(window, self.of["Statistic"], self.of)
        single = {each["Id"]: each for each in self.of["Metrics"]}
        (shown,) = [each for each in single.values() if each.get("ReturnData", True)]
        if shown["Expression"].startswith("SELECT"):
            return query(window, shown["Expression"])
        of_metric = lambda each: statistic(window, each["MetricStat"]["Stat"], each["MetricStat"]["Metric"])
        return math(shown["Expression"], {id: of_metric(each) for id, each in single.items() if "MetricStat" in each})


def statistic(window: list, name: str, metric: dict):
    dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions", []))
    found = [each for minute in window for each in minute.samples(metric["Namespace"], metric["MetricName"], dimensions)]
    if not found:
        return None
    if trimmed := re.fullmatch(r"TC\((\d+):\)", name):
        return sum(each > int(trimmed[1]) for each in found)
    return {"Sum": sum, "Maximum": max}[name](found)


def query(window: list, text: str):
    """SELECT SUM(name) FROM SCHEMA("namespace", ...) WHERE TableName = 'x'"""
    read = r"SELECT SUM\((\w+)\) FROM SCHEMA\(\"([\w/]+)\", [\w, ]+\) WHERE TableName = '(.+)'"
    name, namespace, table = re.fullmatch(read, text).groups()
    wanted = lambda key: key[:2] == (namespace, name) and ("TableName", table) in key[2]
    found = [each for minute in window for key, each in minute.values.items() if wanted(key)]
    return sum(found) if found else None


class Missing(Exception):
    """A value that the result needs is missing, so the result is missing."""


def math(expression: str, values: dict):
    """CloudWatch's metric math, as far as the template uses it."""

    class Values(dict):
        def __missing__(self, name):
            raise Missing(name)

    filled = re.sub(r"FILL\((\w+), (\d+)\)", lambda m: f"({m[2]} if {values[m[1]] is None} else {m[1]})", expression)
    python = filled.replace(" AND ", " and ").replace(" OR ", " or ")
    if match := re.fullmatch(r"IF\((.+), (.+), (.+)\)", python):
        python = f"({match[2]}) if ({match[1]}) else ({match[3]})"
    try:
        return float(eval(python, {"__builtins__": {}}, Values({k: v for k, v in values.items() if v is not None})))
    except Missing:
        return None


def section(alarm: dict) -> str:
    """The part of docs/operate.md that an alarm's description names."""
    return re.search(r"docs/operate\.md, (.+)\.$", alarm["AlarmDescription"])[1]


def calm(rate: int, scheduled: bool) -> list:
    return [Minute(rate, checked=scheduled and number % 2 == 0) for number in range(CALM)]


def minutes_until(alarms: dict, expected: str, rate: int, scheduled: bool, fault) -> int:
    """The minutes from the fault's beginning until the alarm rings."""
    minutes = calm(rate, scheduled)
    for after in range(1, WITHIN + 1):
        minutes.append(Minute(rate, checked=scheduled and after % 2 == 0))
        fault(minutes[-1], rate)
        if alarms[expected].rings(minutes):
            return after
    sys.exit(f"{expected} does not ring within {WITHIN} minutes at {rate} requests a minute, check {scheduled}")


def check_paging(alarms: dict, scheduled: bool) -> None:
    """With and without the scheduled check, whose own requests change every percentage."""
    print(f"\nminutes until an alarm rings, {'with' if scheduled else 'without'} the scheduled check, by requests a minute")
    print(f"{'':50}{RATES[0]:>6}{RATES[1]:>6}")
    for name, (fault, expected) in FAULTS.items():
        if expected in alarms:
            took = [minutes_until(alarms, expected, rate, scheduled, fault) for rate in RATES]
            print(f"{name:50}{took[0]:6}{took[1]:6}  {expected}")
    unseen = set(alarms) - {expected for _, expected in FAULTS.values()}
    assert not unseen, f"no fault rings {unseen}"
    for rate in RATES:
        rings = [name for name, alarm in alarms.items() if alarm.rings(calm(rate, scheduled))]
        assert not rings, f"{rings} ring at {rate} requests a minute while all is well"


def check_rollback(alarms: dict) -> None:
    """The new version answers a tenth of a thousand requests a minute, and each alarm must ring before the rest follows."""
    ours = {"Function": FUNCTION, "Version": VERSION}
    theirs = {"FunctionName": FUNCTION, "Resource": f"{FUNCTION}:live", "ExecutedVersion": VERSION}
    n = int(RATES[1] * NEW_VERSION_SHARE)

    def minute(change):
        made = Minute(n, checked=False)
        made.put("AWS/Lambda", "Invocations", n, **theirs)
        change(made)
        return made

    changes = {
        "NewVersionErrorsAlarm": lambda made: made.put("AWS/Lambda", "Errors", n, **theirs),
        "NewVersionFailuresAlarm": lambda made: made.put("Sessions", "ServerErrors", n, **ours),
        "NewVersionRefusalsAlarm": lambda made: made.put("Sessions", "Rejected", n, **ours),
        "NewVersionSlowAlarm": lambda made: setattr(made, "durations", [5000] * n),
    }
    assert set(changes) == set(alarms), alarms
    for name, change in changes.items():
        assert alarms[name].rings([minute(change)] * 2), f"{name} does not ring within two minutes"
        assert not alarms[name].rings([minute(lambda made: None)] * WITHIN), f"{name} rings while all is well"
    print(f"{len(changes)} alarms roll a bad version back within two minutes at {RATES[1]} requests a minute")


def main() -> None:
    template = cloudformation.translated("template.yaml", PARAMETERS)
    (version,) = cloudformation.of_type(template["Resources"], "AWS::Lambda::Version")
    resources = cloudformation.resolved(template, PARAMETERS)["Resources"]
    found = cloudformation.of_type(resources, "AWS::CloudWatch::Alarm")
    named = cloudformation.replaced(found, f"<{version}.Version>", VERSION)
    properties = {name: each["Properties"] for name, each in named.items()}
    paging = {name: of for name, of in properties.items() if "AlarmActions" in of}
    headings = re.findall(r"^#+ (.+)$", open("docs/operate.md").read(), re.MULTILINE)
    for name, of in paging.items():
        assert section(of) in headings, f"docs/operate.md has no section {section(of)!r} for {name}"
    alarms = {name: Alarm(of) for name, of in paging.items()}
    check_paging(alarms, scheduled=True)
    check_paging({name: of for name, of in alarms.items() if name not in CHECK_ALARMS}, scheduled=False)
    check_rollback({name: Alarm(of) for name, of in properties.items() if name not in paging})


with mock_aws():
    main()
