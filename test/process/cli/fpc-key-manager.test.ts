import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { writeIdentity } from "../../../src/node/identity.ts";
import { assertOneClearLine } from "../faults/one-clear-line.ts";
import {
  KeyManagerFolder,
  type Outcome,
  type RunningServer,
  runStrongroom,
  startServer,
  TemporaryFolder,
} from "../running-server.ts";

function printed({ code, stdout, stderr }: Outcome): string {
  assert.equal(code, 0, stderr);
  return stdout;
}

describe("strongroom fpc with a key manager", { timeout: 600_000 }, () => {
  const folder = new TemporaryFolder();
  const network = join(folder.path, "network");
  const identity = join(folder.path, "host-1");
  const run = (...args: string[]) => runStrongroom(["fpc", ...args, "--folder", network]);
  let manager: KeyManagerFolder;
  let server: RunningServer;
  let masterKey: string;
  let enclave: string;
  let measurement: string;

  before(async () => {
    manager = await KeyManagerFolder.make();
    server = await startServer(manager);
    masterKey = (await server.admin.keys.create({ alias: "alias/enclaves" })).keyId;
    writeIdentity("file", identity, await server.enrol("host-1", masterKey));
    printed(await run("network", "up", "--orgs", "1", ...named(), "--chaincode", "sealed"));
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    manager[Symbol.dispose]();
    folder[Symbol.dispose]();
  });

  const named = (key = "alias/enclaves") => ["--key-manager", server.url, "--identity", identity, "--master-key", key];
  async function uses() {
    const { records } = await server.admin.audit.search({
      action: "kms:Decrypt",
      purpose: "enclave-key",
      order: "newest",
      limit: 100,
    });
    return records;
  }

  it("refuses a key manager that is named in part, or in another form", async () => {
    const [, url = "", , , , key = ""] = named();
    assertOneClearLine(await run("enclave", "create", "--key-manager", url), 2, /go together/);
    const wrong = ["--key-manager", "http://127.0.0.1:1", "--identity", identity, "--master-key", key];
    assertOneClearLine(await run("enclave", "create", ...wrong), 2, /a server is written https:\/\/HOST:PORT/);
    const nowhere = ["--key-manager", url, "--identity", join(identity, "none"), "--master-key", key];
    const another = join(network, "..", "another");
    for (const outcome of [
      await run("enclave", "create", ...nowhere),
      await runStrongroom(["fpc", "network", "up", "--folder", another, ...nowhere]),
    ]) {
      assert.deepEqual([outcome.code, outcome.stdout], [2, ""], outcome.stderr);
      assert.match(outcome.stderr, /key\.pem cannot be read: ENOENT\n.*hint: make an identity with/);
    }
    assert.equal(existsSync(another), false);
    assert.equal((await uses()).length, 0);
  });

  it("puts each start of an enclave on the key manager's record, with the enclave's names", async () => {
    const created = JSON.parse(printed(await run("enclave", "create", "--json")));
    enclave = created.id;
    measurement = created.measurement;
    const [use] = await uses();
    assert.deepEqual(use?.context, {
      node: "host-1",
      purpose: "enclave-key",
      enclave,
      organisation: "Org1MSP",
      channel: "trial",
      chaincode: "sealed",
      measurement,
    });
    assert.deepEqual([use?.result, use?.key], ["done", masterKey]);
    const before = (await uses()).length;
    printed(await run("keys", "generate"));
    assert.equal((await uses()).length, before + 1);
  });

  it("tells the key manager where the enclave stands", async () => {
    const shown = printed(await run("status"));
    const short = enclave.slice(0, 16);
    assert.match(shown, new RegExp(`^${short} +Org1MSP +[0-9A-F]{16} +provisioned +1$`, "m"));
    assert.match(shown, new RegExp(`^key manager ${short} \\(main\\) .*${server.url}.*alias/enclaves$`, "m"));
    const [reported] = await server.admin.enclaves.list("host-1");
    const { reportedAt, ...rest } = reported ?? {};
    assert.deepEqual(rest, {
      node: "host-1",
      hostState: "enabled",
      enclave,
      organisation: "Org1MSP",
      channel: "trial",
      chaincode: "sealed",
      measurement,
      state: "provisioned",
      generation: 1,
    });
    assert.ok(Date.parse(reportedAt ?? "") > 0);
  });

  it("starts no enclave while the master key is disabled, and starts it when it is enabled", async () => {
    const blob = join(network, "organisations/Org1MSP/enclaves/sealed/main/blob");
    const kept = readFileSync(blob);
    await server.admin.keys.disable(masterKey);
    assertOneClearLine(await run("invoke", "sealed", "create", "lot"), 3, /the key manager refused the enclave's key/);
    const [use] = await uses();
    assert.deepEqual([use?.result, use?.error, use?.context?.enclave], ["refused", "KEY_DISABLED", enclave]);
    assert.deepEqual(readFileSync(blob), kept);
    await server.admin.keys.enable(masterKey);
    assert.equal(printed(await run("invoke", "sealed", "create", "lot")), "OK\n");
  });

  it("tells of a revocation, and forgets an enclave when an administrator says so", async () => {
    printed(await run("keys", "revoke", enclave, "--reason", "the host is sold"));
    const place = ["--data", manager.dataDir];
    const listed = JSON.parse(printed(await runStrongroom(["node", "enclave", "list", "host-1", "--json", ...place])));
    assert.deepEqual([listed[0].enclave, listed[0].state], [enclave, "revoked"]);
    const unknown = await runStrongroom(["node", "enclave", "forget", "host-1", "00".repeat(32), ...place]);
    assertOneClearLine(unknown, 1, /host-1 has told of no enclave 0000/);
    for (const digits of ["", "main", "0".repeat(65)]) {
      const none = await runStrongroom(["node", "enclave", "forget", "host-1", digits, ...place]);
      assert.equal(none.code, 2);
      assert.match(none.stderr, /no reported enclave has an id that begins with .*\n.*node enclave list shows the ids/);
    }
    const forgotten = await runStrongroom(["node", "enclave", "forget", "host-1", enclave.slice(0, 16), ...place]);
    assert.match(forgotten.stderr, new RegExp(`what host-1 reported of enclave ${enclave} is gone`));
    const table = printed(await runStrongroom(["node", "enclave", "list", ...place]));
    assert.match(
      table,
      /^HOST +HOST IS +ENCLAVE +ORGANISATION +CHANNEL +CHAINCODE +MEASUREMENT +REPORTED AS +GENERATION +REPORTED AT +AGE\n$/,
    );
  });

  it("starts no enclave while no key manager answers, nor once the host is revoked", async () => {
    printed(await run("status"));
    await server.admin.nodes.revoke("host-1");
    assertOneClearLine(await run("keys", "share"), 3, /the key manager refused/);
    const listed = await runStrongroom(["node", "enclave", "list", "host-1", "--data", manager.dataDir]);
    assert.match(printed(listed), /^host-1 +revoked +[0-9A-F]{16} .* \d+ (?:s|min)$/m);
    const why = ["audit", "search", "--denied", "--node", "host-1", "--data", manager.dataDir];
    assert.match(printed(await runStrongroom(why)), /"deniedBy":"certificate-revoked"/);
    assert.match(listed.stderr, /host-1: revoked, so no enclave starts there again/);
    await server.stop();
    assertOneClearLine(await run("keys", "share"), 4, /no key manager .*without it the enclave does not open/);
  });
});
