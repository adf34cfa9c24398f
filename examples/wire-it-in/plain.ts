/** The client without React. */

import { isProblem, type SessionsClient } from "sessions-client";

/** The devices of a user, and why if they cannot be had. */
export async function devicesOf(api: SessionsClient, user: string | number): Promise<string[]> {
  try {
    return (await api.admin.list(user)).map(({ device_name }) => device_name);
  } catch (error) {
    if (isProblem(error, "admin_only")) return [];
    throw error;
  }
}

/** The last sessions that an admin ended, as far as needed. */
export async function endedByAdmins(api: SessionsClient, user: string | number, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const session of api.admin.history(user)) {
    if (!session.is_active && session.end_reason === "revoked_by_admin") found.push(session.device_name);
    if (found.length === count) break;
  }
  return found;
}
