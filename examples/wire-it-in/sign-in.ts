/** After signing in, and before signing in again. */

import { isProblem, type Device, type Session, type SessionsClient, type SignedIn } from "sessions-client";

/** Opens the session of this device. With too many devices, the user chooses which of them to sign out. */
export async function openSession(
  api: SessionsClient,
  device: Device,
  choose: (sessions: readonly Session[]) => Promise<readonly string[]>,
): Promise<SignedIn> {
  try {
    return await api.own.create(device);
  } catch (error) {
    if (!isProblem(error, "too_many_sessions")) throw error;
    return api.own.create({ ...device, end: await choose(error.body.sessions) });
  }
}

/**
 * Where to sign in with an identity provider. It still knows the user by its own cookie, and would at once give another
 * token of the session that has ended: with `authenticateAgain` it has to ask for the password.
 */
export function signInUrl(authorizeUrl: string, parameters: Record<string, string>, authenticateAgain: boolean): string {
  const url = new URL(authorizeUrl);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  if (authenticateAgain) url.searchParams.set("max_age", "0");
  return url.toString();
}
