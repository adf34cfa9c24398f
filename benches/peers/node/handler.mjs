// The admin's list of live sessions on Node with AWS SDK v3: one client for all calls, which keeps its connection.
import { createHmac, timingSafeEqual } from "node:crypto";

import { DynamoDBClient, QueryCommand } from "@aws-sdk/client-dynamodb";

const { TABLE_NAME, JWT_SECRET } = process.env;
const dynamodb = new DynamoDBClient({});

export async function handler(event) {
  const claims = verify(event.headers?.authorization);
  if (!claims) {
    return answer(401, { detail: "The token is not valid" }, { "www-authenticate": "Bearer" });
  }
  if (claims.role !== "admin") {
    return answer(403, { detail: "Only admins can view other users' sessions" });
  }
  if (event.routeKey !== "GET /sessions/user/{user_id}") {
    return answer(404, { detail: "There is no such route" });
  }
  return answer(200, await liveSessions(event.pathParameters.user_id));
}

async function liveSessions(user) {
  const { Items } = await dynamodb.send(
    new QueryCommand({
      TableName: TABLE_NAME,
      IndexName: "live",
      ConsistentRead: true,
      KeyConditionExpression: "user_id = :user",
      ExpressionAttributeValues: { ":user": { S: user } },
      ScanIndexForward: false,
    }),
  );
  const now = Date.now();
  return Items.filter((item) => item.sk.S !== "profile" && now < Number(item.expires_at.N)).map(session);
}

const session = (item) => ({
  id: item.sk.S.slice("session#".length),
  user_id: Number(item.user_id.S),
  device_name: item.device_name.S,
  device_type: item.device_type.S,
  browser: item.browser.S,
  os: item.os.S,
  ip_address: item.ip_address.S,
  signed_in_ip: item.signed_in_ip.S,
  created_at: rfc3339(item.created_at),
  last_activity: rfc3339(item.last_activity),
  expires_at: rfc3339(item.expires_at),
  is_active: true,
});

// The table keeps times as milliseconds since 1970.
const rfc3339 = ({ N }) => new Date(Number(N)).toISOString();

// The claims of a bearer token that is signed with HS256 by our secret and has not expired; else nothing.
function verify(authorization = "") {
  const [, header, payload, signature] = /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(authorization) ?? [];
  if (!signature || decode(header)?.alg !== "HS256") {
    return undefined;
  }
  const expected = createHmac("sha256", JWT_SECRET).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return undefined;
  }
  const claims = decode(payload);
  return claims?.sub && claims.exp > Date.now() / 1000 ? claims : undefined;
}

function decode(part) {
  try {
    return JSON.parse(Buffer.from(part, "base64url"));
  } catch {
    return undefined;
  }
}

function answer(statusCode, body, headers) {
  return { statusCode, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}
