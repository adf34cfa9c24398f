"""The template as CloudFormation would take it: through SAM's translator, and into an emulator that makes the table."""

import json
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-central-1")

import boto3
from moto import mock_aws
from samtranslator.parser.parser import Parser
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

PARAMETERS = {
    "PanelOrigins": "https://panel.example.com",
    "JwtSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:panel-a1b2c3",
    "DataPolicy": "Delete",
}


def translated() -> dict:
    template = yaml_parse(open("template.yaml").read())
    template["Transform"] = "AWS::Serverless-2016-10-31"
    # What AWS::LanguageExtensions does with it, before SAM's turn.
    template["Resources"]["SessionTable"]["DeletionPolicy"] = PARAMETERS["DataPolicy"]
    template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, PARAMETERS, ManagedPolicyLoader(boto3.client("iam")), feature_toggle=None)


def check_functions(resources: dict) -> None:
    kinds = [resource["Type"] for resource in resources.values()]
    for kind, count in {"AWS::Lambda::Alias": 1, "AWS::CodeDeploy::DeploymentGroup": 1, "AWS::ApiGatewayV2::Route": 12}.items():
        assert kinds.count(kind) == count, (kind, kinds.count(kind))
    group = next(r for r in resources.values() if r["Type"] == "AWS::CodeDeploy::DeploymentGroup")
    assert len(group["Properties"]["AlarmConfiguration"]["Alarms"]) == 5


def check_table(template: dict) -> None:
    """Makes a stack of what the emulator knows of, and reads the table back."""
    table_alone = {key: template[key] for key in ("Parameters", "Conditions") if key in template}
    table_alone["Resources"] = {"SessionTable": template["Resources"]["SessionTable"]}
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()]
    stacks = boto3.client("cloudformation")
    for name in ("one", "two"):
        stacks.create_stack(StackName=name, TemplateBody=json.dumps(table_alone), Parameters=parameters)
        physical = stacks.describe_stack_resource(StackName=name, LogicalResourceId="SessionTable")
        name = physical["StackResourceDetail"]["PhysicalResourceId"]
        # The emulator leaves TTL out of what it makes; it gets it from the template all the same.
        ttl = table_alone["Resources"]["SessionTable"]["Properties"]["TimeToLiveSpecification"]
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
    print(f"{name}: keys, index and TTL are as the template says")


with mock_aws():
    template = translated()
    check_functions(template["Resources"])
    check_table(template)
    print(f"{len(template['Resources'])} resources after the translator", file=sys.stderr)
