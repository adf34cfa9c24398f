// Evaluates IAM requests: reads a list of simulations from standard input, and prints one answer a line. The simulator
// refuses actions, resources and condition keys that IAM does not know. It does not know the resources of HTTP APIs, and
// those of one action of CodeDeploy, which SAM's documentation names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { runSimulation, runUnsafeSimulation } = createRequire(process.argv[2])("@cloud-copilot/iam-simulate");

const unknown = /^(apigateway:|codedeploy:PutLifecycleEventHookExecutionStatus$)/;

async function answer(simulation) {
  if (unknown.test(simulation.request.action)) return runUnsafeSimulation(simulation, {});
  const found = await runSimulation(simulation, {});
  return found.resultType === "error" ? JSON.stringify(found.errors) : found.overallResult;
}

for (const simulation of JSON.parse(readFileSync(0, "utf8"))) console.log(await answer(simulation));
