"""Reads a template as AWS would: SAM's own code resolves AWS::LanguageExtensions, SAM's translator makes the resources,
and `resolved` replaces the functions that are left by their values, as CloudFormation does.

SAM's code for AWS::LanguageExtensions can leave `${Resource}` in a string without Fn::Sub. CloudFormation's does not, so
`resolved` replaces it too."""

import json
import logging
import os
import re

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-central-1")

import boto3
from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

logging.disable()

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "sessions-dev",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()


def read(path: str) -> dict:
    return yaml_parse(open(path).read())


def translated(path: str, parameters: dict) -> dict:
    """The template after both transforms. Conditions and functions are still in it, where they were not resolved."""
    template = expand_language_extensions(read(path), parameters | PSEUDO, enabled=True).expanded_template
    template["Transform"] = "AWS::Serverless-2016-10-31"
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, dict(parameters), ManagedPolicyLoader(boto3.client("iam")), feature_toggle=None)


def resolved(template: dict, parameters: dict) -> dict:
    """The template without the resources and outputs whose condition is false, and without functions. A reference to a
    resource becomes `<Name>`, and one to an attribute `<Name.Attribute>`."""
    values = {name: str(of.get("Default", "")) for name, of in template.get("Parameters", {}).items()}
    values |= parameters | PSEUDO
    conditions = template.get("Conditions", {})
    made = template.get("Resources", {})

    def holds(name: str) -> bool:
        return value_of(conditions[name])

    def reference(name: str):
        if name == "AWS::NoValue":
            return NOTHING
        return values.get(name, f"<{name}>")

    def substitute(text: str, own: dict) -> str:
        part = lambda match: value_of(own[match[1]]) if match[1] in own else str(reference(match[1]))
        return re.sub(r"\$\{([^}!]+)\}", part, text)

    functions = {
        "Ref": reference,
        "Condition": holds,
        "Fn::GetAtt": lambda of: f"<{of if isinstance(of, str) else '.'.join(map(str, of))}>",
        "Fn::If": lambda of: value_of(of[1] if holds(of[0]) else of[2]),
        "Fn::Equals": lambda of: value_of(of[0]) == value_of(of[1]),
        "Fn::Not": lambda of: not value_of(of[0]),
        "Fn::And": lambda of: all(map(value_of, of)),
        "Fn::Or": lambda of: any(map(value_of, of)),
        "Fn::Sub": lambda of: substitute(of, {}) if isinstance(of, str) else substitute(*of),
        "Fn::Join": lambda of: value_of(of[0]).join(value_of(of[1])),
        "Fn::Split": lambda of: value_of(of[1]).split(of[0]),
        "Fn::Select": lambda of: value_of(of[1])[int(of[0])],
    }

    def value_of(node):
        if isinstance(node, list):
            return [value for value in map(value_of, node) if value is not NOTHING]
        if isinstance(node, str):
            return re.sub(r"\$\{(\w+)\}", lambda match: f"<{match[1]}>" if match[1] in made else match[0], node)
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and (name := next(iter(node))) in functions:
            return functions[name](node[name])
        pairs = ((key, value_of(value)) for key, value in node.items() if key != "Condition" or isinstance(value, dict))
        return {key: value for key, value in pairs if value is not NOTHING}

    def present(of: dict) -> dict:
        return {name: value_of(each) for name, each in of.items() if "Condition" not in each or holds(each["Condition"])}

    return {section: present(template.get(section, {})) for section in ("Resources", "Outputs")}


def failed_rules(template: dict, parameters: dict) -> list:
    """What the template's rules say against these parameters."""
    own = {"Parameters": template["Parameters"]}
    truth = lambda of: resolved(own | {"Resources": {"It": {"Value": of}}}, parameters)["Resources"]["It"]["Value"]
    rules = [rule for rule in template["Rules"].values() if truth(rule.get("RuleCondition", True))]
    assertions = [each for rule in rules for each in rule["Assertions"]]
    return [each["AssertDescription"] for each in assertions if not truth(each["Assert"])]


def of_type(resources: dict, kind: str) -> dict:
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def replaced(value, old: str, new: str):
    """The value with another text in all its strings."""
    return json.loads(json.dumps(value).replace(old, new))
