"""Checks the template as AWS would read it: SAM's translator makes the resources, and an emulator makes the table."""

import copy
import json
import re
import shlex
import tempfile

import boto3
import cloudformation
from cloudformation import of_type
from moto import mock_aws
from samcli.cli.types import CfnParameterOverridesType

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:panel-a1b2c3"
ISSUED = {"JwtIssuer": "https://issuer.example.com", "JwtAudience": "panel"}
ORIGINS = {"PanelOrigins": "https://panel.example.com,https://admin.example.com"}
HS256 = ORIGINS | {"JwtSecretArn": SECRET, "DataPolicy": "Delete"}
JWKS = ORIGINS | ISSUED | {"AuthMode": "jwks", "Jwks": '{"keys":[]}', "SessionIdClaim": "session_id"}
KEY = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
DOMAIN = {
    "DomainName": "sessions.example.com",
    "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
}
# Everything that adds a resource or a property.
FULL = HS256 | DOMAIN | {
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:on-call",
    "BoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    "LambdaAuthorizer": "true",
    "LogAddresses": "true",
    "LogKeyArn": KEY,
    "MinimumTraffic": "5",
    "ReservedConcurrency": "50",
    "ScheduledCheck": "true",
    "TableKeyArn": KEY,
    "TableName": "sessions-dev-restored",
    "Tracing": "Active",
}

TEMPLATE = cloudformation.read("template.yaml")


def translated(parameters: dict) -> dict:
    return cloudformation.translated("template.yaml", parameters)


def stack(parameters: dict) -> dict:
    return cloudformation.resolved(translated(parameters), parameters)


def resources_of(parameters: dict) -> dict:
    return stack(parameters)["Resources"]


def environment(resources: dict, function: str) -> dict:
    return resources[function]["Properties"]["Environment"]["Variables"]


def routes(resources: dict) -> dict:
    """The operation of each route, by API Gateway's name of the route."""
    paths = resources["Api"]["Properties"]["Body"]["paths"]
    return {f"{method.upper()} {path}": each for path, of in paths.items() for method, each in of.items()}


def check_routes() -> None:
    methods = {"get", "post", "delete"}
    contract = cloudformation.read("openapi.yaml")["paths"]
    documented = {f"{method.upper()} {path}" for path, of in contract.items() for method in of if method in methods}
    resources = resources_of(FULL)
    found = routes(resources)
    assert documented <= set(found), documented - set(found)
    # The function verifies the tokens.
    assert not any("security" in each for each in found.values())
    stage = resources["ApiApiGatewayDefaultStage"]["Properties"]
    assert set(stage["RouteSettings"]) < set(found), "a limit names a route that does not exist"
    # Each route that ends sessions has its own limit.
    posts = {"POST /sessions/end", "POST /sessions/backchannel-logout"}
    ending = {route for route in found if route.startswith("DELETE")} | posts
    assert ending <= set(stage["RouteSettings"]), ending - set(stage["RouteSettings"])
    invoked = [name for name in of_type(resources, "AWS::Lambda::Permission") if name.startswith("Function")]
    assert len(invoked) == len(found), "each route needs one permission"
    assert "AuthorizerPermission" in resources and "AuthorizerPermission" not in resources_of(HS256)
    cors = resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ORIGINS["PanelOrigins"].split(","), cors
    assert {"allowMethods", "allowHeaders", "exposeHeaders", "maxAge"} < set(cors), cors
    print(f"openapi.yaml has the same {len(found)} routes")


def check_domain() -> None:
    for parameters, domains in ((HS256, 0), (HS256 | DOMAIN, 1)):
        resources = resources_of(parameters)
        assert len(of_type(resources, "AWS::ApiGatewayV2::DomainName")) == domains
        assert len(of_type(resources, "AWS::ApiGatewayV2::ApiMapping")) == domains
        (server,) = resources["Api"]["Properties"]["Body"]["servers"]
        switch = server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
        assert switch == (domains == 1), server
    print("a custom domain switches the default endpoint off")


def version(parameters: dict) -> str:
    (name,) = of_type(translated(parameters)["Resources"], "AWS::Lambda::Version")
    return name


def check_versions() -> None:
    first = version(HS256)
    assert version(HS256) == first, "the same settings publish a new version"
    changes = [
        {"MaxSessions": "5"},
        {"JwtSecretArn": SECRET + "2"},
        {"JwtPreviousSecretArn": SECRET},
        {"Timeout": "29"},
        {"MemorySize": "512"},
        {"Architecture": "x86_64"},
        {"Tracing": "Active"},
        {"RequireSid": "true"},
        {"TableName": "restored"},
        {"ServiceRole": "service"},
        {"EdgeSecretArn": SECRET},
        {"EdgeSecretArn": SECRET, "EdgePreviousSecretArn": SECRET},
        {"EdgeSecretArn": SECRET, "EdgeOnly": "true"},
        JWKS,
    ]
    for change in changes:
        assert version(HS256 | change) != first, f"{change} publishes no version"
    print(f"each of {len(changes)} changes of settings publishes a version")


def check_rollout() -> None:
    resources = resources_of(FULL)
    (published,) = of_type(resources, "AWS::Lambda::Version")
    (group,) = of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values()
    assert group["Properties"]["ServiceRoleArn"] == "<RolloutRole.Arn>", group
    names = {alarm["Name"].strip("<>") for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]}
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    for name in names:
        assert f"<{published}.Version>" in json.dumps(alarms[name]), f"{name} does not watch the new version"
    paging = set(alarms) - names
    assert all("AlarmActions" in alarms[name]["Properties"] for name in paging)
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()
    update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == "<VersionCheck>", update
    assert environment(resources, "VersionCheck")["NEW_VERSION"] == f"<{published}>"
    emergency = resources_of(HS256 | {"Rollout": "AllAtOnce"})
    (group,) = of_type(emergency, "AWS::CodeDeploy::DeploymentGroup").values()
    assert not group["Properties"].get("AlarmConfiguration"), group
    (alias,) = of_type(emergency, "AWS::Lambda::Alias").values()
    assert "BeforeAllowTrafficHook" not in alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"], alias
    print(f"{len(names)} alarms roll back, {len(paging)} send messages, AllAtOnce uses no alarm and no check")


def check_order() -> None:
    """CloudFormation makes the resources one after the other, so no two may wait for each other."""
    template = translated(FULL)["Resources"]
    waits = {name: {each for each in references(of) if each in template} - {name} for name, of in template.items()}
    while ready := {name for name, of in waits.items() if not of}:
        waits = {name: of - ready for name, of in waits.items() if name not in ready}
    assert not waits, f"these wait for each other: {waits}"
    print(f"the {len(template)} resources can be made one after the other")


def references(node) -> set:
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(references, node.values()))
    if "Ref" in node:
        found.add(node["Ref"])
    if "Fn::GetAtt" in node:
        of = node["Fn::GetAtt"]
        found.add(of[0] if isinstance(of, list) else of.split(".")[0])
    if "Fn::Sub" in node:
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        found |= {name.split(".")[0] for name in re.findall(r"\$\{([^}!]+)\}", text)}
    if isinstance(node.get("DependsOn"), (str, list)):
        found |= {node["DependsOn"]} if isinstance(node["DependsOn"], str) else set(node["DependsOn"])
    return found


def check_names() -> None:
    """AWS::LanguageExtensions runs before SAM, so what SAM makes may only be named as a property of its resource."""
    text = open("template.yaml").read()
    named = set(re.findall(r"\b(?:Function|Api|VersionCheck|ScheduledCheckFunction)\.[A-Z]\w+", text)) - {"Function.Arn"}
    named -= {"VersionCheck.Arn"}
    assert named == {"Function.Version", "Function.Alias", "Api.Stage"}, named
    made = set(translated(FULL)["Resources"]) - set(TEMPLATE["Resources"])
    found = {name for name in made if re.search(rf"\b{name}\b", text)}
    assert not found, f"the template names {found}, which only SAM makes"
    assert not re.search(r"^ +DependsOn:", text, re.MULTILINE)
    print("what SAM makes is only named as a property of its own resource")


def check_other_table() -> None:
    """The service uses a restored table everywhere, and the stack keeps its own table."""
    found = stack(HS256 | {"TableName": "restored", "ScheduledCheck": "true"})
    resources = found["Resources"]
    for function in ("Function", "ScheduledCheckFunction"):
        assert environment(resources, function)["TABLE_NAME"] == "restored"
    sids = statements(resources, "FunctionRole")
    assert sids["OtherTable"]["Action"] == sids["Table"]["Action"], sids
    arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/restored"
    assert sids["OtherTable"]["Resource"] == [arn, f"{arn}/index/live", f"{arn}/index/everyone"], sids
    assert statements(resources, "ScheduledCheckRole")["TableSettings"]["Resource"] == arn
    for alarm in ("TableThrottlesAlarm", "TableErrorsAlarm"):
        metrics = json.dumps(resources[alarm]["Properties"]["Metrics"])
        assert "restored" in metrics and "<SessionTable>" not in metrics, alarm
    assert found["Outputs"]["TableName"]["Value"] == "restored"
    assert resources["SessionTable"]["Type"] == "AWS::DynamoDB::Table"
    print("TableName replaces the stack's own table everywhere")


def statements(resources: dict, role: str) -> dict:
    (policy,) = resources[role]["Properties"]["Policies"]
    return {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}


def check_roles() -> None:
    """Every role has the boundary, none has a policy of somebody else, and no check can write another log."""
    resources = resources_of(FULL)
    roles = of_type(resources, "AWS::IAM::Role")
    for name, role in roles.items():
        assert role["Properties"]["PermissionsBoundary"] == FULL["BoundaryArn"], name
        assert "ManagedPolicyArns" not in role["Properties"], name
    for name in ("VersionCheckRole", "ScheduledCheckRole"):
        assert statements(resources, name)["Log"]["Resource"] == "<CheckLog.Arn>", name
    functions = of_type(resources, "AWS::Lambda::Function")
    used = {each["Properties"]["Role"] for each in functions.values()} | {"<RolloutRole.Arn>"}
    assert used == {f"<{name}.Arn>" for name in roles}, used
    for group in of_type(resources, "AWS::Logs::LogGroup").values():
        assert group["Properties"]["KmsKeyId"] == KEY, group
    print(f"{len(roles)} roles, each with the boundary and with rights of its own only")


def check_secrets() -> None:
    for parameters, secret in ((HS256, f"{{{{resolve:secretsmanager:{SECRET}}}}}"), (HS256 | JWKS, "")):
        resources = resources_of(parameters | {"ScheduledCheck": "true"})
        for function in ("Function", "VersionCheck", "ScheduledCheckFunction"):
            assert environment(resources, function)["JWT_SECRET"] == secret
    print("only hs256 gives a function a secret")


def check_access_log() -> None:
    for choice in ("false", "true"):
        stage = resources_of(HS256 | {"LogAddresses": choice})["ApiApiGatewayDefaultStage"]["Properties"]
        line = json.loads(stage["AccessLogSettings"]["Format"])
        assert ("address" in line) == (choice == "true"), line
    print("the access log is JSON, and has addresses only if it should")


def check_rules() -> None:
    wrong = [
        ORIGINS,
        HS256 | {"AuthMode": "jwks"},
        HS256 | {"DomainName": "sessions.example.com"},
        HS256 | {"ServiceRole": "admin"},
        HS256 | {"ServiceRole": "boss", "AdminRole": "boss"},
        HS256 | {"ServiceRole": "admin", "ServiceRoleClaim": "role"},
        HS256 | {"SessionIdClaim": "sid", "ProviderSessionClaim": "sid"},
        JWKS | {"Jwks": ""},
        JWKS | {"SessionIdClaim": ""},
    ]
    for parameters in wrong:
        assert cloudformation.failed_rules(TEMPLATE, parameters), f"no rule refuses {parameters}"
    provider = {"Jwks": "", "JwksUrl": "https://issuer.example.com/keys", "SessionIdClaim": "", "ProviderSessionClaim": "sid"}
    one_role = {"ServiceRole": "admin", "ServiceRoleClaim": "scope"}
    for parameters in (HS256, JWKS, FULL, JWKS | provider, HS256 | one_role):
        assert not cloudformation.failed_rules(TEMPLATE, parameters), parameters
    print(f"the template's rules refuse {len(wrong)} wrong sets of parameters")


def check_parameters() -> None:
    """SAM's parser reads the commands of the documentation."""
    read = lambda written: CfnParameterOverridesType().convert(written, None, None)
    text = "".join(open(f"docs/{name}.md").read() for name in ("deploy", "operate")).replace("\\\n", " ")
    commands = [shlex.split(each) for each in re.findall(r"^ *sam .*--parameter-overrides (.+)$", text, re.MULTILINE)]
    commands = [[each for each in command if "=" in each] for command in commands]
    written = [read(tuple(command)) for command in commands if command]
    for parameters in written:
        assert set(parameters) <= set(TEMPLATE["Parameters"]), parameters
        for name, value in parameters.items():
            assert value in TEMPLATE["Parameters"][name].get("AllowedValues", [value]), (name, value)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("PanelOrigins: [https://a.example.com, https://b.example.com]\nJwtPreviousSecretArn:\n")
        file.flush()
        origins = "https://a.example.com,https://b.example.com"
        in_file = {"PanelOrigins": origins, "JwtPreviousSecretArn": ""}
        assert read((f"file://{file.name}",)) == in_file
        assert read((f"file://{file.name}", "Rollout=AllAtOnce")) == in_file | {"Rollout": "AllAtOnce"}
    print(f"SAM reads the parameters of {len(written)} documented commands and of a file as intended")


def check_table() -> None:
    """Makes two stacks with the table only, because the emulator lacks other types, and reads the tables back."""
    template = translated(HS256)
    table_only = {key: copy.deepcopy(template[key]) for key in ("Parameters", "Conditions")}
    table_only["Resources"] = {"SessionTable": template["Resources"]["SessionTable"]}
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in HS256.items()]
    stacks = boto3.client("cloudformation")
    for name in ("one", "two"):
        stacks.create_stack(StackName=name, TemplateBody=json.dumps(table_only), Parameters=parameters)
        physical = stacks.describe_stack_resource(StackName=name, LogicalResourceId="SessionTable")
        name = physical["StackResourceDetail"]["PhysicalResourceId"]
        # The emulator does not set TTL, so this sets it as the template says.
        ttl = table_only["Resources"]["SessionTable"]["Properties"]["TimeToLiveSpecification"]
        boto3.client("dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        read_back(name)


def read_back(name: str) -> None:
    database = boto3.client("dynamodb")
    table = database.describe_table(TableName=name)["Table"]
    keys = lambda of: [(key["AttributeName"], key["KeyType"]) for key in of["KeySchema"]]
    assert keys(table) == [("user_id", "HASH"), ("sk", "RANGE")], table
    (index,) = table["LocalSecondaryIndexes"]
    assert index["IndexName"] == "live" and index["Projection"]["ProjectionType"] == "ALL", index
    assert keys(index) == [("user_id", "HASH"), ("live_sk", "RANGE")], index
    (everyone,) = table["GlobalSecondaryIndexes"]
    assert everyone["IndexName"] == "everyone" and everyone["Projection"]["ProjectionType"] == "ALL", everyone
    assert keys(everyone) == [("shard", "HASH"), ("live_sk", "RANGE")], everyone
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    assert types == {"user_id": "S", "sk": "S", "live_sk": "S", "shard": "N"}, types
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST", table
    ttl = database.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}, ttl
    print(f"{name} has the keys, indexes and TTL of the template")


with mock_aws():
    check_routes()
    check_domain()
    check_versions()
    check_rollout()
    check_order()
    check_names()
    check_other_table()
    check_roles()
    check_secrets()
    check_access_log()
    check_rules()
    check_parameters()
    check_table()
