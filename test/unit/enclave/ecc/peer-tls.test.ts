import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { writePeerTls } from "../../../../src/enclave/ecc/hosting/peer-tls.ts";

const peer = {
  chaincode_id: "auction:0123",
  peer_address: "peer.example.org:7052",
  mspid: "Org1MSP",
  client_cert: "a certificate",
  client_key: "a key",
  root_cert: "a root",
};
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peer-tls-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the TLS files that a peer's chaincode is started with", () => {
  it("are its owner's alone, and gone once they are read", () => {
    const tls = writePeerTls(folder, peer);
    const file = tls.environment.CORE_TLS_CLIENT_KEY_PATH ?? assert.fail();
    assert.equal(Buffer.from(readFileSync(file, "utf8"), "base64").toString(), "a key");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(dirname(file)).mode & 0o777, 0o700);
    tls[Symbol.dispose]();
    assert.deepEqual(readdirSync(folder), []);
  });

  it("are deleted at the next start where a run was killed before it had read them, and nothing else is", () => {
    writePeerTls(folder, peer);
    mkdirSync(join(folder, "main"));
    writeFileSync(join(folder, "main/blob"), "sealed");
    using _tls = writePeerTls(folder, peer);
    assert.equal(readdirSync(folder).filter((name) => name.startsWith("peer-tls-")).length, 1);
    assert.equal(readFileSync(join(folder, "main/blob"), "utf8"), "sealed");
    writePeerTls(folder, { ...peer, peer_address: "localhost:7052", root_cert: "" });
    assert.deepEqual(readdirSync(folder), ["main"]);
  });

  it("have to be there for a peer on another machine", () => {
    for (const missing of ["root_cert", "client_cert", "client_key"])
      assert.throws(() => writePeerTls(folder, { ...peer, [missing]: "" }), { code: "SETTINGS_INVALID" });
    assert.throws(() => writePeerTls(folder, { ...peer, root_cert: "", peer_address: "localhost.example.org:1" }), {
      code: "SETTINGS_INVALID",
    });
    assert.deepEqual(readdirSync(folder), []);
  });
});
