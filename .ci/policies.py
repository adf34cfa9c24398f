"""What the roles of .github/aws-roles.yaml may do and what they must not, ways to more rights included. A simulator of IAM
evaluates each request of the tables below: trust policies, permissions boundary and conditions too."""

import json
import subprocess
import sys

import cloudformation
from moto import mock_aws

SIMULATOR = sys.argv[1]  # the folder that has it, with a slash at the end
ACCOUNT, REGION = "123456789012", "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
IDS = {"OwnerId": "123456", "RepositoryId": "456789"}
ROLES = {
    "Repository": "octo-org/sessions",
    "Environment": "dev",
    "ApiId": "abcde12345",
    "DomainName": "sessions.example.com",
    "SecretArns": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:sessions/dev/*",
    "TableKeyArn": KEY,
    "ProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
}
SERVICE = {
    "PanelOrigins": "https://panel.example.com",
    "JwtSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:sessions/dev/jwt-a1b2c3",
    "BoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    "ScheduledCheck": "true",
    "TableKeyArn": KEY,
    "Tracing": "Active",
}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/github-sessions-dev-Boundary"
STACK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/github-sessions-dev-StackRole"
DEPLOY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/github-sessions-dev-DeployRole"
NAMES = {"<Boundary>": BOUNDARY, "<StackRole.Arn>": STACK_ROLE, "<DeployRole.Arn>": DEPLOY_ROLE}

arn = lambda service, rest, region=REGION: f"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"
role = lambda name: arn("iam", f"role/{name}", "")
bounded = {"iam:PermissionsBoundary": BOUNDARY}
stack = lambda name: arn("cloudformation", f"stack/{name}/0a1b")
OURS, TWIN, PROD = "sessions-dev-Function-A1", "sessions-devx-Function-A1", "sessions-prod-Function-A1"
STACK_ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
# A key's default policy leaves everything to IAM.
KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}],
}
through_dynamodb = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}

# role, action, resource, context: what a deployment needs.
MAY = [
    ("DeployRole", "cloudformation:CreateChangeSet", stack("sessions-dev"), {"cloudformation:RoleArn": STACK_ROLE}),
    ("DeployRole", "cloudformation:ExecuteChangeSet", stack("sessions-dev"), {}),
    ("DeployRole", "cloudformation:DescribeStacks", stack("aws-sam-cli-managed-default"), {}),
    ("DeployRole", "s3:PutObject", "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-a1/sessions-dev/abc", {}),
    ("DeployRole", "iam:PassRole", STACK_ROLE, {"iam:PassedToService": "cloudformation.amazonaws.com"}),
    ("StackRole", "iam:CreateRole", role("sessions-dev-FunctionRole-A1"), bounded),
    ("StackRole", "iam:PutRolePolicy", role("sessions-dev-FunctionRole-A1"), bounded),
    ("StackRole", "iam:DeleteRolePolicy", role("sessions-dev-FunctionRole-A1"), bounded),
    ("StackRole", "iam:DeleteRole", role("sessions-dev-FunctionRole-A1"), {}),
    ("StackRole", "iam:PassRole", role("sessions-dev-FunctionRole-A1"), {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("StackRole", "iam:PassRole", role("sessions-dev-RolloutRole-A1"), {"iam:PassedToService": "codedeploy.amazonaws.com"}),
    ("StackRole", "lambda:CreateFunction", arn("lambda", f"function:{OURS}"), {}),
    ("StackRole", "lambda:PublishVersion", arn("lambda", f"function:{OURS}"), {}),
    ("StackRole", "lambda:PutFunctionConcurrency", arn("lambda", f"function:{OURS}"), {}),
    ("StackRole", "lambda:UpdateFunctionCode", arn("lambda", "function:CodeDeployHook_sessions-dev"), {}),
    ("StackRole", "lambda:AddPermission", arn("lambda", f"function:{OURS}"), {}),
    ("StackRole", "apigateway:PUT", f"arn:aws:apigateway:{REGION}::/apis/abcde12345", {}),
    ("StackRole", "apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/apis/abcde12345/stages/$default", {}),
    ("StackRole", "apigateway:POST", f"arn:aws:apigateway:{REGION}::/domainnames/sessions.example.com/apimappings", {}),
    ("StackRole", "dynamodb:UpdateTable", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    ("StackRole", "logs:CreateLogGroup", arn("logs", "log-group:sessions-dev-FunctionLog-A1"), {}),
    ("StackRole", "logs:PutMetricFilter", arn("logs", "log-group:sessions-dev-AccessLog-A1"), {}),
    ("StackRole", "logs:DeleteLogGroup", arn("logs", "log-group:sessions-dev-CheckLog-A1"), {}),
    ("StackRole", "cloudwatch:PutMetricAlarm", arn("cloudwatch", "alarm:sessions-dev-ErrorsAlarm-A1"), {}),
    ("StackRole", "cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/sessions-dev-{REGION}", {}),
    ("StackRole", "events:PutRule", arn("events", "rule/sessions-dev-ScheduledCheck-A1"), {}),
    ("StackRole", "codedeploy:CreateDeployment", arn("codedeploy", "deploymentgroup:sessions-dev-App-A1/sessions-dev-Group-A1"), {}),
    ("StackRole", "codedeploy:GetDeploymentConfig", arn("codedeploy", "deploymentconfig:CodeDeployDefault.LambdaAllAtOnce"), {}),
    ("StackRole", "secretsmanager:GetSecretValue", arn("secretsmanager", "secret:sessions/dev/jwt-a1b2c3"), {}),
    ("StackRole", "kms:CreateGrant", KEY, through_dynamodb),
]

# What nobody who merges to main may reach, by any template or code.
MUST_NOT = [
    # More rights: a role of any policy, or without the boundary, or of another name.
    ("StackRole", "iam:CreateRole", role("sessions-dev-Admin-A1"), {}),
    ("StackRole", "iam:CreateRole", role("sessions-dev-Admin-A1"), {"iam:PermissionsBoundary": STACK_ADMIN}),
    ("StackRole", "iam:CreateRole", role("admin"), bounded),
    ("StackRole", "iam:AttachRolePolicy", role("sessions-dev-FunctionRole-A1"), bounded | {"iam:PolicyARN": STACK_ADMIN}),
    ("StackRole", "iam:PutRolePolicy", role("sessions-dev-FunctionRole-A1"), {}),
    ("StackRole", "iam:DeleteRolePermissionsBoundary", role("sessions-dev-FunctionRole-A1"), bounded),
    ("StackRole", "iam:PutRolePermissionsBoundary", role("sessions-dev-FunctionRole-A1"), {"iam:PermissionsBoundary": STACK_ADMIN}),
    ("StackRole", "iam:CreatePolicyVersion", BOUNDARY, {}),
    ("StackRole", "iam:SetDefaultPolicyVersion", BOUNDARY, {}),
    ("StackRole", "iam:DeletePolicy", BOUNDARY, {}),
    ("StackRole", "iam:CreateUser", arn("iam", "user/sessions-dev-x", ""), {}),
    ("StackRole", "iam:CreateAccessKey", arn("iam", "user/admin", ""), {}),
    ("StackRole", "iam:UpdateAssumeRolePolicy", STACK_ROLE, {}),
    ("StackRole", "iam:PutRolePolicy", STACK_ROLE, {}),
    ("StackRole", "iam:PutRolePolicy", DEPLOY_ROLE, {}),
    ("StackRole", "iam:PassRole", role("admin"), {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("StackRole", "iam:PassRole", role("sessions-dev-FunctionRole-A1"), {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("StackRole", "iam:PassRole", STACK_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("StackRole", "iam:CreateOpenIDConnectProvider", ROLES["ProviderArn"], {}),
    ("StackRole", "sts:AssumeRole", role("admin"), {}),
    # Another environment, or another stack of the account.
    *(("StackRole", "lambda:UpdateFunctionCode", arn("lambda", f"function:{name}"), {}) for name in (PROD, TWIN, "payments")),
    ("StackRole", "lambda:UpdateFunctionCode", arn("lambda", "function:CodeDeployHook_sessions-devx"), {}),
    ("StackRole", "iam:CreateRole", role("sessions-devx-FunctionRole-A1"), bounded),
    ("StackRole", "iam:CreateRole", role("sessions-prod-FunctionRole-A1"), bounded),
    ("StackRole", "dynamodb:UpdateTable", arn("dynamodb", "table/sessions-prod-SessionTable-A1"), {}),
    ("StackRole", "logs:PutRetentionPolicy", arn("logs", "log-group:sessions-prod-FunctionLog-A1"), {}),
    ("StackRole", "cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/payments", {}),
    ("StackRole", "codedeploy:CreateDeployment", arn("codedeploy", "deploymentgroup:sessions-prod-App-A1/Group"), {}),
    ("StackRole", "codedeploy:CreateDeploymentConfig", arn("codedeploy", "deploymentconfig:Own"), {}),
    ("StackRole", "secretsmanager:GetSecretValue", arn("secretsmanager", "secret:sessions/prod/jwt-a1b2c3"), {}),
    ("StackRole", "apigateway:DELETE", f"arn:aws:apigateway:{REGION}::/apis/other12345", {}),
    ("StackRole", "apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/apis/other12345/stages/$default", {}),
    ("StackRole", "apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/domainnames/other.example.com", {}),
    ("StackRole", "apigateway:GET", f"arn:aws:apigateway:{REGION}::/apis", {}),
    # What nobody can bring back, and what the table holds.
    ("StackRole", "dynamodb:DeleteTable", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    ("StackRole", "logs:DeleteLogGroup", arn("logs", "log-group:sessions-dev-FunctionLog-A1"), {}),
    ("StackRole", "dynamodb:GetItem", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    ("StackRole", "dynamodb:Scan", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    ("StackRole", "kms:Decrypt", KEY, through_dynamodb),
    # GitHub's own role goes through CloudFormation and its role only.
    ("DeployRole", "cloudformation:CreateChangeSet", stack("sessions-dev"), {}),
    ("DeployRole", "cloudformation:CreateChangeSet", stack("sessions-dev"), {"cloudformation:RoleArn": role("admin")}),
    ("DeployRole", "cloudformation:CreateChangeSet", stack("sessions-prod"), {"cloudformation:RoleArn": STACK_ROLE}),
    ("DeployRole", "cloudformation:ExecuteChangeSet", stack("sessions-prod"), {}),
    ("DeployRole", "cloudformation:ExecuteChangeSet", stack("sessions-dev-x"), {}),
    ("DeployRole", "cloudformation:UpdateStack", stack("sessions-dev"), {}),
    ("DeployRole", "cloudformation:DeleteStack", stack("sessions-dev"), {}),
    ("DeployRole", "s3:PutObject", "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-a1/sessions-prod/abc", {}),
    ("DeployRole", "iam:PassRole", role("admin"), {"iam:PassedToService": "cloudformation.amazonaws.com"}),
    ("DeployRole", "iam:PassRole", STACK_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("DeployRole", "lambda:GetFunctionConfiguration", arn("lambda", f"function:{OURS}"), {}),
    ("DeployRole", "secretsmanager:GetSecretValue", arn("secretsmanager", "secret:sessions/dev/jwt-a1b2c3"), {}),
    ("DeployRole", "dynamodb:GetItem", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    # A role of the stack with every right of its own still has the boundary.
    ("Everything", "dynamodb:GetItem", arn("dynamodb", "table/sessions-prod-SessionTable-A1"), {}),
    ("Everything", "dynamodb:DeleteTable", arn("dynamodb", "table/sessions-dev-SessionTable-A1"), {}),
    ("Everything", "iam:CreateRole", role("sessions-dev-Admin-A1"), bounded),
    ("Everything", "iam:PassRole", STACK_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("Everything", "sts:AssumeRole", role("admin"), {}),
    ("Everything", "secretsmanager:GetSecretValue", arn("secretsmanager", "secret:sessions/dev/jwt-a1b2c3"), {}),
    ("Everything", "lambda:UpdateFunctionCode", arn("lambda", f"function:{OURS}"), {}),
    ("Everything", "lambda:InvokeFunction", arn("lambda", f"function:{PROD}"), {}),
    ("Everything", "logs:DeleteLogGroup", arn("logs", "log-group:sessions-dev-FunctionLog-A1"), {}),
]

# The subjects of GitHub's tokens, for a role made without and with the repository's numbers.
OLD, NEW = "repo:octo-org/sessions", "repo:octo-org@123456/sessions@456789"
SUBJECTS = [
    ({}, f"{OLD}:environment:dev", True),
    (IDS, f"{NEW}:environment:dev", True),
    ({}, f"{NEW}:environment:dev", False),
    (IDS, f"{OLD}:environment:dev", False),
    (IDS, "repo:octo-org@123456/sessions@999:environment:dev", False),
    (IDS, "repo:octo-org@999/sessions@456789:environment:dev", False),
    *((ids, f"{own}:{rest}", False) for ids, own in (({}, OLD), (IDS, NEW))
      for rest in ("environment:prod", "environment:devx", "pull_request", "ref:refs/heads/main", "environment:dev:x")),
    ({}, "repo:octo-org/sessions2:environment:dev", False),
    ({}, "repo:mallory/sessions:environment:dev", False),
]


def ask(simulations: list) -> list:
    command = ["node", ".ci/policies.mjs", SIMULATOR]
    done = subprocess.run(command, input=json.dumps(simulations), stdout=subprocess.PIPE, text=True, check=True)
    answers = done.stdout.splitlines()
    unknown = [(of["request"], answer) for of, answer in zip(simulations, answers, strict=True) if answer.startswith("{")]
    assert not unknown, "\n".join(map(str, unknown))
    return answers


def simulation(action: str, resource: str, context: dict, policies: list, boundary=None, principal=STACK_ROLE) -> dict:
    request = {"principal": principal, "action": action, "contextVariables": context}
    named = lambda of: [{"name": str(number), "policy": policy} for number, policy in enumerate(of)]
    return {
        "request": request | {"resource": {"resource": resource, "accountId": ACCOUNT}},
        "identityPolicies": named(policies),
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
    } | ({"permissionBoundaryPolicies": named([boundary])} if boundary else {}) | (
        {"resourcePolicy": KEY_POLICY} if action.startswith("kms:") else {}
    )


def resources_of(path: str, parameters: dict) -> dict:
    template = cloudformation.read(path) if "aws-roles" in path else cloudformation.translated(path, parameters)
    found = cloudformation.resolved(template, parameters)["Resources"]
    for name, real in NAMES.items():
        found = cloudformation.replaced(found, name, real)
    return found


def policies_of(resource: dict) -> list:
    return [each["PolicyDocument"] for each in resource["Properties"]["Policies"]]


def check_rights() -> None:
    found = resources_of(".github/aws-roles.yaml", ROLES)
    policies = {name: policies_of(found[name]) for name in ("DeployRole", "StackRole")}
    policies["Everything"] = [{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
    boundary = found["Boundary"]["Properties"]["PolicyDocument"]
    limit = lambda name: boundary if name == "Everything" else None
    cases = [(*case, "Allowed") for case in MAY] + [(*case, "Denied") for case in MUST_NOT]
    answers = ask([simulation(action, of, context, policies[name], limit(name)) for name, action, of, context, _ in cases])
    wrong = [case for case, answer in zip(cases, answers, strict=True) if (answer == "Allowed") != (case[4] == "Allowed")]
    assert not wrong, "\n".join(map(str, wrong))
    print(f"the roles may do {len(MAY)} things that a deployment needs, and none of {len(MUST_NOT)} that it must not")


def check_boundary() -> None:
    """The boundary leaves the service's roles all that they need."""
    boundary = resources_of(".github/aws-roles.yaml", ROLES)["Boundary"]["Properties"]["PolicyDocument"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    needs = {
        "FunctionRole": [
            *((f"dynamodb:{each}", arn("dynamodb", "table/sessions-dev-T-A1")) for each in ("GetItem", "PutItem", "UpdateItem")),
            *(("dynamodb:Query", arn("dynamodb", f"table/sessions-dev-T-A1/index/{each}")) for each in ("live", "everyone")),
            ("logs:PutLogEvents", arn("logs", "log-group:sessions-dev-FunctionLog-A1:log-stream:x")),
            ("xray:PutTraceSegments", "*"),
            ("kms:Decrypt", KEY),
        ],
        "VersionCheckRole": [
            ("lambda:InvokeFunction", arn("lambda", f"function:{OURS}:7")),
            ("codedeploy:PutLifecycleEventHookExecutionStatus", arn("codedeploy", "deploymentgroup:sessions-dev-App-A1/Group")),
        ],
        "ScheduledCheckRole": [("dynamodb:DescribeTimeToLive", arn("dynamodb", "table/sessions-dev-T-A1"))],
        "RolloutRole": [
            ("lambda:UpdateAlias", arn("lambda", f"function:{OURS}")),
            ("lambda:InvokeFunction", arn("lambda", "function:CodeDeployHook_sessions-dev")),
            ("cloudwatch:DescribeAlarms", arn("cloudwatch", "alarm:sessions-dev-NewVersionErrorsAlarm-A1")),
        ],
    }
    of = resources_of("template.yaml", SERVICE)
    made = set(cloudformation.of_type(of, "AWS::IAM::Role"))
    assert made == set(needs), made
    # Every action that a role has is in the boundary.
    allowed = {action for each in boundary["Statement"] for action in each["Action"] if isinstance(each["Action"], list)}
    allowed |= {each["Action"] for each in boundary["Statement"] if isinstance(each["Action"], str)}
    for name in made:
        for policy in policies_of(of[name]):
            for statement in policy["Statement"]:
                actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
                assert set(actions) <= allowed, f"the boundary takes {set(actions) - allowed} from {name}"
    cases = [each for name in needs for each in needs[name]]
    context = lambda action: through_dynamodb if action.startswith("kms:") else {}
    answers = ask([simulation(action, where, context(action), [everything], boundary) for action, where in cases])
    assert set(answers) == {"Allowed"}, list(zip(cases, answers, strict=True))
    print(f"the boundary leaves {len(made)} roles of the service what they need")


def check_subjects() -> None:
    """Which tokens of GitHub the deploy role accepts."""
    simulations = []
    for ids, subject, _ in SUBJECTS:
        trust = resources_of(".github/aws-roles.yaml", ROLES | ids)["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]
        # The simulator knows the keys of some providers, and GitHub's are not among them.
        trust = cloudformation.replaced(trust, "token.actions.githubusercontent.com:", "accounts.google.com:")
        claims = {"accounts.google.com:aud": "sts.amazonaws.com", "accounts.google.com:sub": subject}
        asked = simulation("sts:AssumeRoleWithWebIdentity", DEPLOY_ROLE, claims, [], principal=ROLES["ProviderArn"])
        simulations.append(asked | {"resourcePolicy": trust})
    answers = ask(simulations)
    wrong = [case for case, answer in zip(SUBJECTS, answers, strict=True) if (answer == "Allowed") != case[2]]
    assert not wrong, wrong
    print(f"the deploy role accepts {sum(of[2] for of in SUBJECTS)} of {len(SUBJECTS)} subjects: one of each form")


def check_rules() -> None:
    template = cloudformation.read(".github/aws-roles.yaml")
    for half in ({"OwnerId": "1"}, {"RepositoryId": "1"}):
        assert cloudformation.failed_rules(template, ROLES | half), half
    assert not cloudformation.failed_rules(template, ROLES | IDS)


with mock_aws():
    check_rules()
    check_rights()
    check_boundary()
    check_subjects()
