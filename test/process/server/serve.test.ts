import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { KeyManagerClient } from "../../../src/client/client.ts";
import { enroll } from "../../../src/client/enroll.ts";

const strongroom = join(import.meta.dirname, "../../../bin/strongroom");
const python = existsSync("/usr/bin/python3") ? false : "python3 is not on this machine";

interface Ready {
  readonly pid: number;
  readonly caFingerprint: string;
  readonly socket: string;
  readonly native: string;
  readonly metrics?: string;
  readonly fisco?: string;
}

interface Served extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly ready: Ready;
  /** Standard error so far. */
  readonly told: () => string;
}

describe("strongroom serve", () => {
  let folder: string;
  let dataDir: string;
  let unlock: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-serve-"));
    dataDir = join(folder, "km");
    unlock = secretFile("unlock", "an unlock secret that only this test has");
    execFileSync(strongroom, ["init", "--data", dataDir, "--unlock-file", unlock, "--slot", "key-file"]);
  });
  after(() => rmSync(folder, { recursive: true }));

  function secretFile(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
  const served = (args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
    serve(["--data", dataDir, "--unlock-file", unlock, ...args], env);
  const refused = (args: readonly string[]) => failingServe(args);

  it("prints a line for each listener, and with --json one line when all listen", async () => {
    await using running = await served(["--metrics", "127.0.0.1:0"]);
    const { ready } = running;
    assert.equal(ready.pid, running.process.pid);
    assert.match(ready.caFingerprint, /^[0-9a-f]{64}$/);
    assert.match(running.told(), /^strongroom: native: https:\/\/127\.0\.0\.1:\d+$/m);
    assert.match(running.told(), /^strongroom: administration socket: .*admin\.sock$/m);
    assert.match(running.told(), /^strongroom: metrics: http:\/\/127\.0\.0\.1:\d+\/metrics$/m);
    assert.equal((await fetch(`http://${ready.metrics}/readyz`)).status, 200);
  });

  it("opens its administration socket to its own user only", async () => {
    await using running = await served();
    assert.equal(statSync(running.ready.socket).mode & 0o777, 0o600);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  });

  it("enrols a node, and knows it again after a restart", async () => {
    let enrolment: Awaited<ReturnType<typeof enroll>>;
    {
      await using running = await served();
      using admin = KeyManagerClient.overSocket(running.ready.socket);
      using token = (await admin.nodes.createToken({ name: "node-0", identity: "file" })).token;
      enrolment = await enroll({ servers: [`https://${running.ready.native}`], token });
    }
    await using running = await served();
    using client = KeyManagerClient.overTls({
      servers: [`https://${running.ready.native}`],
      caPem: enrolment.caPem,
      identity: enrolment,
    });
    assert.equal((await client.whoami()).principal, enrolment.principal);
  });

  it("ends with 0 at SIGTERM and at SIGINT, removing its socket, and goes on at SIGHUP", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await using running = await served();
      running.process.kill("SIGHUP");
      using admin = KeyManagerClient.overSocket(running.ready.socket);
      await admin.whoami();
      running.process.kill(signal);
      const [code] = await once(running.process, "exit");
      assert.equal(code, 0, running.told());
      assert.equal(existsSync(running.ready.socket), false);
    }
  });

  it("starts again over the socket that a killed server left", async () => {
    {
      await using running = await served();
      running.process.kill("SIGKILL");
      await once(running.process, "exit");
      assert.equal(existsSync(running.ready.socket), true);
    }
    await using again = await served();
    using admin = KeyManagerClient.overSocket(again.ready.socket);
    assert.equal((await admin.audit.verify()).ok, true);
  });

  it("refuses a second server on one data folder", async () => {
    await using _running = await served();
    const { code, told } = await refused(["--data", dataDir, "--unlock-file", unlock, "--native", "127.0.0.1:0"]);
    assert.equal(code, 1);
    assert.match(told, /^strongroom: error: [^\n]*\n(strongroom: hint: [^\n]*\n)?$/);
  });

  it("says in one line that a port is in use", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen({ host: "127.0.0.1", port: 0 }, resolve));
    const address = holder.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { code, told } = await refused(["--data", dataDir, "--unlock-file", unlock, "--native", `127.0.0.1:${port}`]);
    holder.close();
    assert.equal(code, 1);
    assert.equal(
      told,
      `strongroom: error: native 127.0.0.1:${port}: another program listens on the address (EADDRINUSE)\n`,
    );
  });

  it("says in one line that this machine lacks the address", async () => {
    const { code, told } = await refused(["--data", dataDir, "--unlock-file", unlock, "--native", "192.0.2.1:8443"]);
    assert.equal(code, 1);
    assert.match(
      told,
      /^strongroom: error: native 192\.0\.2\.1:8443: this machine has no such address \(EADDRNOTAVAIL\)\n$/,
    );
  });

  it("ends with 5 for a wrong unlock secret", async () => {
    const wrong = secretFile("wrong", "another secret altogether, of enough bytes");
    const { code, told } = await refused(["--data", dataDir, "--unlock-file", wrong, "--native", "127.0.0.1:0"]);
    assert.equal(code, 5);
    assert.match(told, /^strongroom: error: /);
  });

  const usage: readonly (readonly [string, readonly string[]])[] = [
    ["a port without a host", ["--native", ":8443"]],
    ["a port alone", ["--native", "8443"]],
    ["a port out of range", ["--native", "127.0.0.1:70000"]],
    ["a FISCO door without its superKey", ["--fisco", "127.0.0.1:0"]],
    ["a superKey without a FISCO door", ["--fisco-super-key-file", "x"]],
    ["a name that no certificate can hold", ["--name", "a b"]],
    ["a checkpoint that is not there", ["--checkpoint", "/nonexistent"]],
    ["an unknown option", ["--nativ", "127.0.0.1:0"]],
  ];
  for (const [what, args] of usage)
    it(`ends with 2 for ${what}`, async () => {
      const { code, told } = await refused(["--data", dataDir, "--unlock-file", unlock, ...args]);
      assert.equal(code, 2, told);
      assert.match(told, /^strongroom: error: /);
    });

  it("ends with 2 for an unlock file that others can read", async () => {
    const open = secretFile("open", "x".repeat(20));
    chmodSync(open, 0o644);
    assert.equal((await refused(["--data", dataDir, "--unlock-file", open])).code, 2);
  });

  it("refuses a store that differs from a checkpoint kept elsewhere, and takes one that fits", async () => {
    let checkpoint: string;
    {
      await using running = await served();
      using admin = KeyManagerClient.overSocket(running.ready.socket);
      checkpoint = JSON.stringify(await admin.audit.checkpoint());
    }
    const fits = secretFile("checkpoint", checkpoint);
    {
      await using _running = await served(["--checkpoint", fits]);
    }
    const other = { ...JSON.parse(checkpoint), sequence: 1_000_000 };
    const ahead = secretFile("ahead", JSON.stringify(other));
    const { code } = await refused([
      "--data",
      dataDir,
      "--unlock-file",
      unlock,
      "--native",
      "127.0.0.1:0",
      "--checkpoint",
      ahead,
    ]);
    assert.equal(code, 5);
    const nonsense = secretFile("nonsense", "{}");
    assert.equal((await refused(["--data", dataDir, "--unlock-file", unlock, "--checkpoint", nonsense])).code, 2);
  });

  it("opens the FISCO door when asked", async () => {
    const superKey = secretFile("super-key", "123xyz");
    await using running = await served(["--fisco", "127.0.0.1:0", "--fisco-super-key-file", superKey]);
    const response = await fetch(`http://${running.ready.fisco}/`, {
      method: "POST",
      body: '{"id":83,"jsonrpc":"2.0","method":"sayHello","params":["x"]}',
    });
    assert.equal(response.status, 200);
    assert.match(running.told(), /^strongroom: fisco: http:\/\/127\.0\.0\.1:\d+$/m);
  });

  it("tells the service manager when it is ready and when it stops", { skip: python }, async () => {
    const path = join(folder, "notify");
    const receiver = spawn("/usr/bin/python3", [
      "-c",
      `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound",flush=True)
for _ in range(2): print(s.recv(4096).decode().replace("\\n"," "),flush=True)`,
      path,
    ]);
    let received = "";
    receiver.stdout.on("data", (chunk) => {
      received += chunk;
    });
    await once(receiver.stdout, "data");
    const ended = once(receiver, "close");
    try {
      await using _running = await served([], { NOTIFY_SOCKET: path });
    } finally {
      const timer = setTimeout(() => receiver.kill(), 20_000);
      await ended;
      clearTimeout(timer);
    }
    assert.match(received, /^bound\nREADY=1 STATUS=listening on 127\.0\.0\.1:\d+\nSTOPPING=1\n$/);
  });
});

async function serve(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Served> {
  const nativeArgs = ["--native", "127.0.0.1:0"];
  const child = spawn(strongroom, ["serve", ...args, ...nativeArgs, "--json"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let told = "";
  child.stderr.on("data", (chunk) => {
    told += chunk;
  });
  let printed = "";
  const ready = await new Promise<Ready>((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      printed += chunk;
      if (printed.includes("\n")) resolve(JSON.parse(printed));
    });
    child.on("exit", (code) => reject(new Error(`serve ended with ${code}: ${told}`)));
  });
  return {
    process: child,
    ready,
    told: () => told,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function failingServe(args: readonly string[]): Promise<{ code: number; told: string }> {
  const child = spawn(strongroom, ["serve", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (chunk) => {
    told += chunk;
  });
  const [code] = await once(child, "close");
  return { code, told };
}
