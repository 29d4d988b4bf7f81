import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { codeFor, type ServedConsole, serveConsole } from "../console/browser.ts";
import { KeyManagerFolder, repository, runStrongroom } from "../running-server.ts";

const patienceMs = 60_000;
const pageBuilt = existsSync(join(repository, "console/dist/index.html"));

interface Shown {
  readonly state: string;
  readonly seconds: number | null;
  readonly launch: string | null;
}

describe("the lease of a launched node, as the key manager shows it", {
  skip: pageBuilt ? false : "the console's page is not built (script/setup builds it)",
}, () => {
  const folder = new NodeFolder();
  const launchers: ChildProcess[] = [];
  let manager: KeyManagerFolder;
  let served: ServedConsole;
  let cookie = "";

  before(async () => {
    manager = await KeyManagerFolder.make();
    served = await serveConsole(manager);
    await served.server.admin.keys.create({ alias: "alias/nodes" });
    const signedIn = await ask("POST", "sign-in/code", await codeFor(manager));
    assert.equal(signedIn.status, 200, signedIn.body);
    cookie = String(signedIn.cookie?.split(";")[0]);
    await makeNode("node-1");
  });
  after(async () => {
    for (const launcher of launchers) await ended(launcher, "SIGKILL");
    await served?.[Symbol.asyncDispose]();
    manager?.[Symbol.dispose]();
    folder[Symbol.dispose]();
  });

  /** One request as the console's page makes it. */
  function ask(method: "GET" | "POST", path: string, body = "") {
    const { origin, hostname, port } = new URL(served.url);
    return new Promise<{ status: number; body: string; cookie: string | undefined }>((resolve, reject) => {
      const headers = { origin, cookie, "content-type": "application/octet-stream" };
      // The key manager's own authority is not among those that Node knows.
      const options = { hostname, port, method, path: `/api/${path}`, headers, rejectUnauthorized: false };
      const sent = request(options, (response) => {
        let text = "";
        response.on("data", (piece) => (text += String(piece)));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: text, cookie: response.headers["set-cookie"]?.[0] }),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  async function succeed(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runStrongroom(args);
    assert.equal(code, 0, `strongroom ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  async function makeNode(name: string): Promise<void> {
    const dir = folder.at(name);
    const server = ["--server", `https://${served.server.addresses.native}`, "--key", "alias/nodes"];
    const script = 'echo up >"$1"; exec sleep 600';
    const argv = ["/bin/sh", "-c", script, "sh", folder.at(`${name}-up`)];
    await succeed(
      ...["node", "init", name, "--kind", "geth", "--network", "net-1", ...server, "--dir", dir, "--", ...argv],
    );
    const token = folder.at(`${name}-token`);
    await succeed("node", "token", name, "--key", "alias/nodes", "--data", manager.dataDir, "--out", token);
    await succeed("node", "enroll", dir, "--token-file", token);
    await succeed("node", "seal", dir, folder.write(`${name}-nodekey`, `${"0".repeat(62)}2a\n`));
  }

  async function launch(name: string, ...more: readonly string[]): Promise<ChildProcess> {
    rmSync(folder.at(`${name}-up`), { force: true });
    const args = ["node", "launch", folder.at(name), "--allow-unsafe", ...more];
    const launcher = spawn(join(repository, "bin/strongroom"), args, { stdio: "ignore" });
    launchers.push(launcher);
    await until(async () => existsSync(folder.at(`${name}-up`)));
    return launcher;
  }

  async function ended(launcher: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    if (launcher.exitCode !== null || launcher.signalCode !== null) return launcher.exitCode;
    const closed = new Promise<number | null>((resolve) => launcher.once("close", resolve));
    launcher.kill(signal);
    return closed;
  }

  async function until(holds: () => Promise<boolean>): Promise<void> {
    for (const endMs = Date.now() + patienceMs; Date.now() < endMs; ) {
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail("it did not come to that");
  }

  async function shown(name: string): Promise<Shown | null | undefined> {
    const view = await ask("GET", "nodes/view");
    assert.equal(view.status, 200, view.body);
    const { nodes } = JSON.parse(view.body) as { nodes: readonly { name: string; lease: Shown | null }[] };
    return nodes.find((node) => node.name === name)?.lease;
  }

  it("is held while it is checked, and lapsed once the launcher was killed", async () => {
    const launcher = await launch("node-1", "--lease", "3s");
    const begun = await shown("node-1");
    assert.deepEqual([begun?.state, begun?.seconds], ["held", 3]);
    const records = async () =>
      (await served.server.admin.audit.search({ node: "node-1", action: "kms:Decrypt", limit: 1000 })).records.filter(
        ({ detail, result }) => detail.launch === begun?.launch && detail.leaseSeconds === 3 && result === "done",
      ).length;
    await until(async () => (await records()) >= 3);
    assert.equal((await shown("node-1"))?.launch, begun?.launch);
    await ended(launcher, "SIGKILL");
    await until(async () => (await shown("node-1"))?.state === "lapsed");
    const listed = await succeed("node", "list", "--data", manager.dataDir);
    assert.match(listed, /node-1 +enabled +file +lapsed: checked every 3 s, but not since /);
  });

  it("is released by an orderly stop, and said by the node itself", async () => {
    const launcher = await launch("node-1", "--lease", "1h");
    const held = await shown("node-1");
    assert.deepEqual([held?.state, held?.seconds], ["held", 3600]);
    assert.equal(await ended(launcher, "SIGTERM"), 143);
    const released = await shown("node-1");
    assert.deepEqual([released?.state, released?.launch], ["released", held?.launch]);
    const { records } = await served.server.admin.audit.search({ action: "strongroom:ReleaseLease", limit: 10 });
    assert.deepEqual(
      records.map(({ principal, detail }) => [principal.split(":").at(-1), detail.launch]),
      [["node/node-1", held?.launch]],
    );
  });

  it("is none for a node that is launched without one", async () => {
    const launcher = await launch("node-1");
    assert.equal((await shown("node-1"))?.state, "none");
    const { nodes } = JSON.parse(await succeed("node", "list", "--data", manager.dataDir, "--json"));
    assert.deepEqual([nodes[0].name, nodes[0].lease.state, nodes[0].lease.seconds], ["node-1", "none", null]);
    await ended(launcher, "SIGTERM");
  });

  it("is refused to a revoked node, which is stopped", async () => {
    const launcher = await launch("node-1", "--lease", "3s");
    assert.equal((await shown("node-1"))?.state, "held");
    const closed = new Promise<number | null>((resolve) => launcher.once("close", resolve));
    await succeed("node", "revoke", "node-1", "--data", manager.dataDir);
    assert.equal(await closed, 3);
    assert.equal((await shown("node-1"))?.state, "refused");
    assert.equal(readFileSync(folder.at("node-1-up"), "utf8"), "up\n");
  });
});
