import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import {
  type KeyManagerFolder,
  type RunningServer,
  repository,
  runStrongroom,
  startServer,
} from "../running-server.ts";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((each) => existsSync(each));

/** Why the browser tests can't run here; false when they can. */
export const noBrowser: string | false =
  executable === undefined
    ? "chromium is not on this machine"
    : existsSync(join(repository, "console/dist/index.html"))
      ? false
      : "the console's page is not built (script/setup builds it)";

/** Chromium without a window, with a profile of its own that goes with it. The caller closes it. */
export function openBrowser(): Promise<Browser> {
  if (executable === undefined) throw new Error("chromium is not on this machine");
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: executable,
    // Chromium's own sandbox does not work for root; the page it opens here is the product's own, over loopback.
    args: [...(root ? ["--no-sandbox"] : []), "--disable-dev-shm-usage"],
    timeout: 120_000,
  });
}

export interface ServedConsole extends AsyncDisposable {
  readonly server: RunningServer;
  /** `https://127.0.0.1:PORT/`. */
  readonly url: string;
}

export async function serveConsole(manager: KeyManagerFolder): Promise<ServedConsole> {
  const server = await startServer(manager, ["--console", "127.0.0.1:0"]);
  const { console: at } = server.addresses as typeof server.addresses & { readonly console: string };
  return { server, url: `https://${at}/`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** A code as an operator makes it, on the command line. */
export async function codeFor(manager: KeyManagerFolder, ...more: readonly string[]): Promise<string> {
  const made = await runStrongroom(["console", "code", "--data", manager.dataDir, ...more]);
  if (made.code !== 0) throw new Error(made.stderr);
  return made.stdout.trim();
}

/** A fresh window; its problems (errors of the page, refused resources) are gathered. */
export async function openPage(
  browser: Browser,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<{ readonly context: BrowserContext; readonly page: Page; readonly problems: string[] }> {
  const context = await browser.newContext({
    // The key manager's own authority is not among the browser's.
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    colorScheme: "light",
    ...options,
  });
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    // The question whether there is a session is answered with 401 before sign-in.
    if (message.type() === "error" && !message.text().includes("401")) problems.push(message.text());
  });
  return { context, page, problems };
}

export async function signIn(page: Page, url: string, code: string): Promise<void> {
  await page.goto(url);
  await page.locator("input[name=code]").fill(code);
  await page.locator("button[type=submit]").click();
  await page.locator("nav").waitFor();
}
