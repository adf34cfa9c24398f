"""Checks the template as CloudFormation would read it. SAM resolves AWS::LanguageExtensions, SAM's translator makes the
resources, and an emulator makes the table.

SAM's own code for AWS::LanguageExtensions can leave `${Resource}` in a string without Fn::Sub. CloudFormation's code does
not. No check here reads such a string."""

import copy
import json
import logging
import os
import re
import shlex
import tempfile

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-central-1")

import boto3
from moto import mock_aws
from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

logging.disable()

ACCOUNT = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "sessions",
    "AWS::URLSuffix": "amazonaws.com",
}
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:panel-a1b2c3"
ISSUED = {"JwtIssuer": "https://issuer.example.com", "JwtAudience": "panel"}
ORIGINS = {"PanelOrigins": "https://panel.example.com,https://admin.example.com"}
HS256 = ORIGINS | {"JwtSecretArn": SECRET, "DataPolicy": "Delete"}
TOPIC = {"AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:on-call"}
JWKS = ORIGINS | ISSUED | {"AuthMode": "jwks", "Jwks": '{"keys":[]}', "SessionIdClaim": "session_id"}
DOMAIN = {
    "DomainName": "sessions.example.com",
    "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
}

TEMPLATE = yaml_parse(open("template.yaml").read())


def translated(parameters: dict) -> dict:
    expanded = expand_language_extensions(TEMPLATE, parameters | ACCOUNT, enabled=True).expanded_template
    expanded["Transform"] = "AWS::Serverless-2016-10-31"
    for function in ("Function", "VersionCheck"):
        expanded["Resources"][function]["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(expanded, dict(parameters), ManagedPolicyLoader(boto3.client("iam")), feature_toggle=None)


def present(resources: dict, kind: str) -> dict:
    """The resources of one type, also those whose condition is false if the translator leaves them in."""
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def routes(resources: dict) -> dict:
    """The operation of each route, by API Gateway's name of the route."""
    paths = resources["Api"]["Properties"]["Body"]["paths"]
    return {f"{method.upper()} {path}": each for path, of in paths.items() for method, each in of.items()}


def check_routes() -> None:
    methods = {"get", "post", "delete"}
    contract = yaml_parse(open("openapi.yaml").read())["paths"]
    documented = {f"{method.upper()} {path}" for path, of in contract.items() for method in of if method in methods}
    for parameters in (HS256, JWKS):
        resources = translated(parameters)["Resources"]
        found = routes(resources)
        assert documented <= set(found), documented - set(found)
        # The function verifies the tokens.
        assert not any("security" in each for each in found.values()), parameters
        stage = resources["ApiApiGatewayDefaultStage"]["Properties"]
        assert set(stage["RouteSettings"]) < set(found), "a limit names a route that does not exist"
        # Each route that ends sessions has its own limit.
        ending = {route for route in found if route.startswith("DELETE") or route == "POST /sessions/end"}
        assert ending <= set(stage["RouteSettings"]), ending - set(stage["RouteSettings"])
        permissions = present(resources, "AWS::Lambda::Permission")
        assert len(permissions) == len(found) + 1, "each route needs one permission, and the authorizer one"
        assert permissions["AuthorizerPermission"]["Condition"] == "IsAuthorizer"
    cors = resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ORIGINS["PanelOrigins"].split(","), cors
    print(f"openapi.yaml has the same {len(found)} routes")


def check_domain() -> None:
    for parameters, domains in ((HS256, 0), (HS256 | DOMAIN, 1)):
        resources = translated(parameters)["Resources"]
        assert len(present(resources, "AWS::ApiGatewayV2::DomainName")) == domains
        (server,) = resources["Api"]["Properties"]["Body"]["servers"]
        switch = server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
        assert switch == (domains == 1), server
    print("a custom domain switches the default endpoint off")


def version(parameters: dict) -> str:
    (name,) = present(translated(parameters)["Resources"], "AWS::Lambda::Version")
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
        JWKS,
    ]
    for change in changes:
        assert version(HS256 | change) != first, f"{change} publishes no version"
    print(f"each of {len(changes)} changes of settings publishes a version")


def check_rollout() -> None:
    resources = translated(HS256 | TOPIC)["Resources"]
    (published,) = present(resources, "AWS::Lambda::Version")
    (group,) = present(resources, "AWS::CodeDeploy::DeploymentGroup").values()
    names = {alarm["Name"]["Ref"] for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]}
    of_version = {"Fn::GetAtt": [published, "Version"]}
    for name in names:
        assert of_version in dimensions(resources[name]), f"{name} does not watch the new version"
    paging = set(present(resources, "AWS::CloudWatch::Alarm")) - names
    assert all("AlarmActions" in resources[name]["Properties"] for name in paging)
    (alias,) = present(resources, "AWS::Lambda::Alias").values()
    update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == {"Ref": "VersionCheck"}, update
    assert resources["VersionCheck"]["Properties"]["Environment"]["Variables"]["NEW_VERSION"] == {"Ref": published}
    emergency = translated(HS256 | {"Rollout": "AllAtOnce"})["Resources"]
    (group,) = present(emergency, "AWS::CodeDeploy::DeploymentGroup").values()
    assert not group["Properties"].get("AlarmConfiguration", {}).get("Alarms"), group
    (alias,) = present(emergency, "AWS::Lambda::Alias").values()
    assert "BeforeAllowTrafficHook" not in alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"], alias
    print(f"{len(names)} alarms roll back, {len(paging)} send messages, AllAtOnce uses no alarm and no check")


def dimensions(alarm: dict) -> list:
    """The values of all dimensions of an alarm."""
    properties = alarm["Properties"]
    metrics = [each["MetricStat"]["Metric"] for each in properties.get("Metrics", []) if "MetricStat" in each]
    return [each["Value"] for metric in metrics or [properties] for each in metric["Dimensions"]]


def check_other_table() -> None:
    """The service uses a restored table everywhere, and the stack keeps its own table."""
    template = translated(HS256 | {"TableName": "restored"})
    resources = template["Resources"]
    assert resources["Function"]["Properties"]["Environment"]["Variables"]["TABLE_NAME"] == "restored"
    statements = resources["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    sids = {each["Sid"]: each for each in statements}
    assert sids["OtherTable"]["Action"] == sids["Table"]["Action"], sids
    arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/restored"
    assert sids["OtherTable"]["Resource"] == [arn, f"{arn}/index/live"], sids
    for alarm in ("TableThrottlesAlarm", "TableErrorsAlarm"):
        assert "'restored'" in json.dumps(resources[alarm]["Properties"]["Metrics"]), alarm
    assert template["Outputs"]["TableName"]["Value"] == "restored"
    assert resources["SessionTable"]["Type"] == "AWS::DynamoDB::Table"
    print("TableName replaces the stack's own table everywhere")


def check_secrets() -> None:
    for parameters, secret in ((HS256, f"{{{{resolve:secretsmanager:{SECRET}}}}}"), (HS256 | JWKS, "")):
        resources = translated(parameters)["Resources"]
        for function in ("Function", "VersionCheck"):
            assert resources[function]["Properties"]["Environment"]["Variables"]["JWT_SECRET"] == secret
    print("only hs256 gives a function a secret")


def check_parameters() -> None:
    """SAM's parser reads the commands of the documentation."""
    read = lambda written: CfnParameterOverridesType().convert(written, None, None)
    text = "".join(open(f"docs/{name}.md").read() for name in ("deploy", "operate"))
    commands = [shlex.split(each) for each in re.findall(r"^ +sam .*--parameter-overrides (.+)$", text, re.MULTILINE)]
    written = [read(tuple(command)) for command in commands if not command[0].startswith("file://")]
    for parameters in written:
        assert set(parameters) <= set(TEMPLATE["Parameters"]), parameters
        for name, value in parameters.items():
            assert value in TEMPLATE["Parameters"][name].get("AllowedValues", [value]), (name, value)
    assert {"JwtPreviousSecretArn": ""} in written, "the documentation does not show how to empty a parameter"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("PanelOrigins: [https://a.example.com, https://b.example.com]\nJwtPreviousSecretArn:\n")
        file.flush()
        origins = "https://a.example.com,https://b.example.com"
        assert read(f"file://{file.name}") == {"PanelOrigins": origins, "JwtPreviousSecretArn": ""}
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
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST", table
    ttl = database.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}, ttl
    print(f"{name} has the keys, index and TTL of the template")


with mock_aws():
    check_routes()
    check_domain()
    check_versions()
    check_rollout()
    check_other_table()
    check_secrets()
    check_parameters()
    check_table()
