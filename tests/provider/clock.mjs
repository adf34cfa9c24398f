// Waiting for the clock.

import { setTimeout } from "node:timers/promises";

/** Resolves in the next whole second: `auth_time` and `iat` count no finer. */
export async function nextSecond() {
  const now = Math.floor(Date.now() / 1000);
  while (Math.floor(Date.now() / 1000) === now) await setTimeout(20);
}
