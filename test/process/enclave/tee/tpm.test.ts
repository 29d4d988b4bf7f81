import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { measuredPcr } from "../../../../src/enclave/evidence/tpm.ts";
import { type AttestationRoot, createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import type { EnclaveCode } from "../../../../src/enclave/tee/measure-code.ts";
import { certifyTpm } from "../../../../src/enclave/tee/tpm/attestation-key.ts";
import { openTpmBackend } from "../../../../src/enclave/tee/tpm/backend.ts";
import { TpmTools } from "../../../../src/enclave/tee/tpm/tools.ts";
import { noSwtpm, Swtpm } from "../../../enclave-platforms/swtpm.ts";

suite("a TPM 2.0, in software", { skip: noSwtpm() }, () => {
  let folder: string;
  let platform: string;
  let root: AttestationRoot;
  let tpm: Swtpm;
  let code: EnclaveCode;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "tpm-"));
    platform = join(folder, "platform");
    root = await createAttestationRoot(join(folder, "root"), "Org1");
    tpm = await Swtpm.start(join(folder, "swtpm"));
    await certifyTpm(platform, tpm.tcti, root, "host 1");
    await writeFile(join(folder, "enclave.ts"), "export {};\n");
    code = { base: folder, parts: ["enclave.ts"], program: "/bin/sh", role: "chaincode" };
  });

  after(async () => {
    await tpm[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const open = async (of: EnclaveCode = code) => await openTpmBackend({ platform, tcti: tpm.tcti, code: of });

  test("nothing is left in the TPM after ten quotes and seals at once, though it has room for three keys", async () => {
    await using backend = await open();
    using secret = SecretBuffer.random(100);
    const work = Array.from({ length: 5 }, (_, index) => [
      backend.quote(Buffer.of(index)),
      backend.seal(secret, Buffer.of(index)),
    ]);
    await Promise.all(work.flat());
    const env = { ...process.env, TPM2TOOLS_TCTI: tpm.tcti };
    for (const kind of ["handles-transient", "handles-loaded-session"])
      assert.equal(spawnSync("tpm2_getcap", [kind], { env }).stdout.toString().trim(), "", kind);
  });

  test("a blob does not open once something more was measured, and opens after the next start of the machine", async () => {
    using secret = SecretBuffer.random(64);
    await using backend = await open();
    const sealed = await backend.seal(secret, Buffer.of(1));
    tpm.extend(measuredPcr, "ab".repeat(32));
    await assert.rejects(backend.unseal(sealed, Buffer.of(1)), { code: "UNSEAL_FAILED" });
    await assert.rejects(open(), { code: "SETTINGS_INVALID", message: /measurement of other code/ });
    await tpm.restart();
    await using again = await open();
    using opened = await again.unseal(sealed, Buffer.of(1));
    assert.ok(opened.expose((bytes) => secret.equals(bytes)));
  });

  test("what is sealed while the host has measured something more is for this code all the same", async () => {
    using secret = SecretBuffer.random(64);
    await using backend = await open();
    tpm.extend(measuredPcr, "cd".repeat(32));
    const sealed = await backend.seal(secret, Buffer.of(2));
    await assert.rejects(backend.unseal(sealed, Buffer.of(2)), { code: "UNSEAL_FAILED" });
    await tpm.restart();
    await using again = await open();
    using opened = await again.unseal(sealed, Buffer.of(2));
    assert.ok(opened.expose((bytes) => secret.equals(bytes)));
  });

  test("other code does not start on a machine that was started with this", async () => {
    await using backend = await open();
    await backend.measure();
    await writeFile(join(folder, "other.ts"), "export const other = true;\n");
    await assert.rejects(open({ ...code, parts: ["other.ts"] }), { code: "SETTINGS_INVALID" });
    await assert.rejects(open({ ...code, role: "ledger" }), { code: "SETTINGS_INVALID" });
  });

  test("a machine is certified once", async () => {
    await assert.rejects(certifyTpm(platform, tpm.tcti, root, "host 1"), { code: "CONFLICT" });
  });

  test("a TPM that is not there, has no certificate, or tools that are missing are told of", async () => {
    const nowhere = `swtpm:path=${join(folder, "nowhere")}`;
    await assert.rejects(openTpmBackend({ platform, tcti: nowhere, code }), { code: "SETTINGS_INVALID" });
    const bare = join(folder, "bare");
    await assert.rejects(openTpmBackend({ platform: bare, tcti: tpm.tcti, code }), {
      code: "SETTINGS_INVALID",
      message: /no certificate/,
    });
    await assert.rejects(new TpmTools(tpm.tcti).run("tpm2_no_such_tool", []), {
      code: "SETTINGS_INVALID",
      message: /tpm2-tools/,
    });
  });

  test("secrets of a seal are in no argument and no file", async () => {
    const seen: string[] = [];
    const tools = new TpmTools(tpm.tcti);
    using key = SecretBuffer.take(Buffer.from("0123456789abcdef0123456789abcdef"));
    await tools.work(async (work) => {
      const primary = join(work, "p");
      await tools.run("tpm2_createprimary", ["-Q", "-C", "o", "-G", "ecc256", "-c", primary]);
      const parts = ["-u", join(work, "u"), "-r", join(work, "r")];
      await tools.run("tpm2_create", ["-Q", "-C", primary, "-i", "-", ...parts], key);
      seen.push(spawnSync("grep", ["-rl", "0123456789abcdef", work]).stdout.toString());
    });
    assert.deepEqual(seen, [""]);
  });
});
