// The least that runs a handler on Lambda: fetches an event, hands back the answer, over one kept connection. The
// official runtime client is a native module that has to be built and does more for each call, so this one flatters
// Node in a comparison.
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";

import { handler } from "./handler.mjs";

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${runtime}/${path}`, { method, agent }, async (answer) => {
      resolve({ headers: answer.headers, body: await text(answer) });
    });
    sent.on("error", reject).end(body && JSON.stringify(body));
  });
}

for (;;) {
  const next = await call("GET", "next");
  const id = next.headers["lambda-runtime-aws-request-id"];
  try {
    await call("POST", `${id}/response`, await handler(JSON.parse(next.body)));
  } catch (error) {
    await call("POST", `${id}/error`, { errorType: error.name, errorMessage: error.message });
  }
}
