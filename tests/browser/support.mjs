// What the browser tests share: tokens, sessions to work on, and the packages under target/.

import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";

export const API = process.env.API_URL;
export const PANEL = process.env.PANEL_URL;

/** A package that .ci/browser installed. */
export const installed = createRequire(new URL("../../target/browser/", import.meta.url));

/** Chromium, which sends requests only to the hosts of its pages. */
export function launch() {
  return installed("playwright-core").chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A token as the panel's backend would sign it; `options` are those of the `token` command. */
export function token(user, ...options) {
  return execFileSync("target/debug/examples/local", ["token", "--user", user, ...options], { encoding: "utf8" }).trim();
}

const AGENTS = {
  windows: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36",
  iphone:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
  linux: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
};

let devices = 0;

/**
 * Signs a user in on a new device: "windows", "iphone", "linux", or any other name, which the device gives itself.
 * Each has a token of its own.
 */
export async function signIn(user, device, bearer = token(user, "--expires-in", String(3600 + devices))) {
  const response = await fetch(`${API}/sessions/create`, {
    method: "POST",
    headers: { Authorization: `Bearer ${bearer}`, "User-Agent": AGENTS[device] ?? "-", "Content-Type": "application/json" },
    body: JSON.stringify({ device_fingerprint: `device ${devices++}`, device_name: device }),
  });
  if (response.status !== 201) throw new Error(`create answered ${response.status}: ${await response.text()}`);
  return response.json();
}
