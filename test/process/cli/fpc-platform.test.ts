import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { enclaveErrors } from "../../../src/enclave/errors.ts";
import { openProcessBackend } from "../../../src/enclave/tee/process/backend.ts";
import { openTpmBackend } from "../../../src/enclave/tee/tpm/backend.ts";
import { noSwtpm, Swtpm } from "../../enclave-platforms/swtpm.ts";
import { runStrongroom, TemporaryFolder } from "../running-server.ts";

describe("strongroom fpc platform", () => {
  const folder = new TemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const run = (...args: string[]) => runStrongroom(["fpc", "platform", ...args]);
  after(() => folder[Symbol.dispose]());

  it("makes an organisation's root, once, and prints what the policy takes of it", async () => {
    const { code, stdout, stderr } = await run("root", at("root"), "--name", "Org1");
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trimEnd(), readFileSync(at("root/root.pem"), "utf8").trimEnd());
    assert.match(stderr, /root-key\.pem off the hosts/);
    assert.equal(statSync(at("root/root-key.pem")).mode & 0o777, 0o600);
    const again = await run("root", at("root"), "--name", "Org1");
    assert.equal(again.code, enclaveErrors.CONFLICT.exit);
    assert.match(again.stderr, /error: CONFLICT: .* exists already\n.*hint: it stays as it is: name another folder/);
  });

  it("makes nothing under a name that no certificate has", async () => {
    for (const name of ["", " ", "a".repeat(65), "two\nlines"]) {
      for (const args of [
        ["root", at("unnamed")],
        ["certify", at("unnamed"), "--root", at("root")],
      ]) {
        const { code, stderr } = await run(...args, "--name", name);
        assert.equal(code, enclaveErrors.SETTINGS_INVALID.exit, stderr);
        assert.match(stderr, /1 to 64 characters in one line\n.*hint: /);
      }
      assert.equal(existsSync(at("unnamed")), false);
    }
  });

  it("makes a simulated platform that enclaves can be opened on, once", async () => {
    const { code, stderr } = await run("certify", at("host"), "--root", at("root"), "--name", "host-1");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /it is simulated/);
    await assert.rejects(openProcessBackend({ platform: at("elsewhere") }), {
      code: "SETTINGS_INVALID",
      hint: /fpc platform certify/,
    });
    await using backend = await openProcessBackend({ platform: at("host") });
    assert.match(await backend.measure(), /^[0-9A-F]{64}$/);
    const again = await run("certify", at("host"), "--root", at("root"), "--name", "host-1");
    assert.equal(again.code, enclaveErrors.CONFLICT.exit);
  });

  it("certifies a TPM, which enclaves can be opened with then", { skip: noSwtpm() }, async () => {
    await using tpm = await Swtpm.start(at("swtpm"));
    const { code, stdout, stderr } = await run(
      "certify",
      at("tpm"),
      "--root",
      at("root"),
      "--name",
      "h",
      "--tcti",
      tpm.tcti,
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^platform of kind tpm in /);
    await using backend = await openTpmBackend({ platform: at("tpm"), tcti: tpm.tcti });
    assert.match(await backend.measure(), /^[0-9A-F]{64}$/);
  });

  it("certifies nothing without a root, or for a TPM that does not answer", async () => {
    for (const args of [
      ["--root", at("none")],
      ["--root", at("root"), "--tcti", `swtpm:path=${at("no-socket")}`],
    ]) {
      const { code, stdout, stderr } = await run("certify", at("other"), ...args, "--name", "host-2");
      assert.deepEqual([code, stdout], [enclaveErrors.SETTINGS_INVALID.exit, ""], stderr);
      assert.match(stderr, /^strongroom: error: SETTINGS_INVALID: /);
      assert.doesNotMatch(stderr, /^\s+at /m);
    }
    assert.ok(!existsSync(at("other/attestation-certificate.der")));
  });
});
