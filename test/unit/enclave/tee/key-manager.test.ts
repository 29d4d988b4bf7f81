import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import type { Enrolment } from "../../../../src/client/enroll.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { type AttestationRoot, createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import type { SealedFor, TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import { openGramineBackend } from "../../../../src/enclave/tee/gramine/backend.ts";
import { KeyManagedBackend } from "../../../../src/enclave/tee/key-manager/backend.ts";
import type { KeyManagerSettings } from "../../../../src/enclave/tee/key-manager/settings.ts";
import type { EnclaveCode } from "../../../../src/enclave/tee/measure-code.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import { certifyTpm } from "../../../../src/enclave/tee/tpm/attestation-key.ts";
import { openTpmBackend } from "../../../../src/enclave/tee/tpm/backend.ts";
import { GramineFolder } from "../../../enclave-platforms/gramine-folder.ts";
import { createIntel } from "../../../enclave-platforms/intel.ts";
import { noSwtpm, Swtpm } from "../../../enclave-platforms/swtpm.ts";
import { reservePort } from "../../../reserved-ports.ts";
import { type RunningKeyManager, startKeyManager } from "../../server/running-key-manager.ts";

const header = Buffer.from("header of the blob");
const code: EnclaveCode = {
  base: import.meta.dirname,
  parts: ["key-manager.test.ts"],
  program: "/bin/sh",
  role: "chaincode",
};
const state = "all that an enclave keeps";
const subject: SealedFor = {
  enclaveId: "E1".repeat(32),
  mspId: "Org1MSP",
  channelId: "trade",
  chaincodeId: "auction",
};

suite("an enclave's platform under a key manager", () => {
  let folder: string;
  let running: RunningKeyManager;
  let masterKey: string;
  let settings: KeyManagerSettings;
  let root: AttestationRoot;
  let sealed: Buffer;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "tee-key-manager-"));
    running = await startKeyManager();
    masterKey = (await running.admin.keys.create({ alias: "alias/enclaves" })).keyId;
    settings = {
      servers: [running.url],
      identity: await identityFolder("host-1", await running.enrolled("host-1", masterKey)),
      masterKey: "alias/enclaves",
    };
    root = await createAttestationRoot(join(folder, "root"), "Org1");
    for (const name of ["first", "second"]) await createProcessPlatform(join(folder, name), root, name);
    await using backend = await open();
    sealed = await backend.seal(secret(), header, subject);
  });
  after(async () => {
    await running[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function identityFolder(name: string, { caPem, certificatePem, privateKeyPem }: Enrolment): Promise<string> {
    const identity = await mkdtemp(join(folder, `${name}-`));
    await writeFile(join(identity, "ca.pem"), caPem);
    await writeFile(join(identity, "certificate.pem"), certificatePem);
    const key = privateKeyPem.expose((bytes) => Buffer.from(bytes));
    await writeFile(join(identity, "key.pem"), key, { mode: 0o600 });
    return identity;
  }

  const platform = (name = "first") =>
    openProcessBackend({
      platform: join(folder, name),
      code,
    });
  const open = async (change: Partial<KeyManagerSettings> = {}, name = "first"): Promise<TeeBackend> =>
    new KeyManagedBackend(await platform(name), { ...settings, ...change });
  const secret = () => SecretBuffer.take(Buffer.from(state));

  async function unsealed(backend: TeeBackend, bytes: Uint8Array = sealed): Promise<string> {
    using opened = await backend.unseal(bytes, header);
    return opened.expose((text) => Buffer.from(text).toString());
  }

  async function refused(asked: Promise<unknown>, code: EnclaveErrorCode, message = /./): Promise<void> {
    await assert.rejects(asked, (error: unknown) => {
      assert.ok(error instanceof EnclaveError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
  }

  /** Records of the uses of the key for enclaves. */
  async function uses(action = "kms:Decrypt") {
    const { records } = await running.admin.audit.search({ action, order: "newest", limit: 1000 });
    return records.filter(({ context }) => context?.purpose === "enclave-key");
  }

  test("measures and attests as the platform does", async () => {
    await using managed = await open();
    await using alone = await platform();
    assert.equal(managed.kind, "process");
    assert.equal(managed.protectsFromRoot, false);
    assert.equal(await managed.measure(), await alone.measure());
    assert.ok((await managed.quote(Buffer.from("statement"))).length > 0);
  });

  test("opens by the key manager's word, once for each opening, on record with the enclave's names", async () => {
    const before = await uses();
    await using backend = await open();
    assert.equal(await unsealed(backend), state);
    const after = await uses();
    assert.equal(after.length, before.length + 1);
    assert.deepEqual(after[0]?.context, {
      node: "host-1",
      purpose: "enclave-key",
      enclave: subject.enclaveId,
      organisation: "Org1MSP",
      channel: "trade",
      chaincode: "auction",
      measurement: await backend.measure(),
    });
    assert.equal(after[0]?.key, masterKey);
    // What is sealed from here on is under the same key: nothing more is asked.
    const again = await backend.seal(secret(), header, subject);
    assert.equal((await uses()).length, after.length);
    assert.equal((await uses("kms:GenerateDataKeyWithoutPlaintext")).length, 1);
    await using other = await open();
    assert.equal(await unsealed(other, again), state);
  });

  test("has a key of its own for each enclave, also where the one before it could not be stored", async () => {
    await using backend = await open();
    await backend.seal(secret(), header, { ...subject, enclaveId: "E2".repeat(32) });
    const next = await backend.seal(secret(), header, { ...subject, enclaveId: "E3".repeat(32) });
    await using other = await open();
    assert.equal(await unsealed(other, next), state);
    assert.equal(
      (await uses())[0]?.context?.enclave,
      "E3".repeat(32),
      "the start is on record under another enclave's name",
    );
  });

  for (const [kind, skip, openPlatform] of [
    ["tpm", noSwtpm(), inTpm],
    ["gramine", false, inGramine],
  ] as const)
    test(`works over a platform of kind ${kind}`, { skip }, async () => {
      await using stack = new AsyncDisposableStack();
      const backend = new KeyManagedBackend(await openPlatform(stack), settings);
      stack.use(backend);
      const own = await backend.seal(secret(), header, subject);
      assert.equal(backend.kind, kind);
      assert.equal(await unsealed(backend, own), state);
      await running.admin.keys.disable(masterKey);
      await refused(unsealed(backend, own), "KEY_MANAGER_REFUSED");
      await running.admin.keys.enable(masterKey);
      assert.equal(await unsealed(backend, own), state);
    });

  async function inTpm(stack: AsyncDisposableStack): Promise<TeeBackend> {
    const tpm = stack.use(await Swtpm.start(join(folder, "tpm")));
    const host = join(folder, "tpm-host");
    await certifyTpm(host, tpm.tcti, root, "tpm-host");
    return await openTpmBackend({ platform: host, tcti: tpm.tcti, code });
  }

  async function inGramine(stack: AsyncDisposableStack): Promise<TeeBackend> {
    const device = await GramineFolder.create(
      join(folder, "gramine"),
      await createIntel(),
      Buffer.alloc(32, 0xe1),
      Buffer.alloc(16, 0x5a),
    );
    return await openGramineBackend({ folder: stack.use(device).folder });
  }

  test("does not ask the key manager for what the platform did not seal", async () => {
    const before = (await uses()).length;
    await using second = await open({}, "second");
    await refused(unsealed(second), "UNSEAL_FAILED");
    await using first = await open();
    for (let at = 0; at < sealed.length; at += 7) {
      const altered = Buffer.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      await refused(unsealed(first, altered), "UNSEAL_FAILED");
    }
    for (const length of [0, 1, 2, 30, sealed.length - 1])
      await refused(unsealed(first, sealed.subarray(0, length)), "UNSEAL_FAILED");
    await assert.rejects(first.unseal(sealed, Buffer.from("another header")), { code: "UNSEAL_FAILED" });
    assert.equal((await uses()).length, before);
  });

  test("does not open without the key manager's key, even on the same platform", async () => {
    await using alone = await platform();
    await refused(unsealed(alone), "UNSEAL_FAILED", /created with a key manager/);
    await refused(unsealed(alone, sealed.subarray(1)), "UNSEAL_FAILED");
  });

  test("does not take what was sealed without one", async () => {
    await using alone = await platform();
    const plain = await alone.seal(secret(), header);
    await using backend = await open();
    await refused(unsealed(backend, plain), "UNSEAL_FAILED", /created without a key manager/);
  });

  test("is refused while the master key is disabled, and opens again when it is enabled", async () => {
    await running.admin.keys.disable(masterKey);
    await using backend = await open();
    await refused(unsealed(backend), "KEY_MANAGER_REFUSED", /request [0-9a-f-]{36}/);
    assert.deepEqual([(await uses())[0]?.result, (await uses())[0]?.error], ["refused", "KEY_DISABLED"]);
    await refused(
      open().then((made) => made.seal(secret(), header, subject)),
      "KEY_MANAGER_REFUSED",
    );
    await running.admin.keys.enable(masterKey);
    assert.equal(await unsealed(backend), state);
  });

  test("goes on when the master key has been rotated", async () => {
    await running.admin.keys.rotate(masterKey);
    await using backend = await open();
    assert.equal(await unsealed(backend), state);
  });

  test("is refused to another node, and to this one once it is revoked", async () => {
    const other = await running.enrolled("host-2", masterKey);
    await using stranger = await open({ identity: await identityFolder("host-2", other) });
    await refused(unsealed(stranger), "KEY_MANAGER_REFUSED");
    const third = await identityFolder("host-3", await running.enrolled("host-3", masterKey));
    await using revoked = await open({ identity: third });
    const own = await revoked.seal(secret(), header, subject);
    assert.equal(await unsealed(revoked, own), state);
    await running.admin.nodes.revoke("host-3");
    await refused(unsealed(revoked, own), "KEY_MANAGER_REFUSED");
  });

  test("is refused to a node without a grant, and under a key that there is not", async () => {
    const without = await identityFolder("host-4", await running.enrolled("host-4"));
    await using backend = await open({ identity: without });
    await refused(backend.seal(secret(), header, subject), "KEY_MANAGER_REFUSED");
    await using unknown = await open({ masterKey: "alias/none" });
    await refused(unknown.seal(secret(), header, subject), "KEY_MANAGER_REFUSED");
  });

  test("does not open while no key manager answers", async () => {
    await using backend = await open({ servers: [`https://127.0.0.1:${await reservePort()}`] });
    await refused(unsealed(backend), "KEY_MANAGER_UNREACHABLE", /does not open/);
  });

  test("takes no other's word for the key manager's", async () => {
    await using impostor = await startKeyManager();
    await using backend = await open({ servers: [impostor.url] });
    await refused(unsealed(backend), "KEY_MANAGER_FAILED");
  });

  test("says what is wrong with an identity folder", async () => {
    const enrolment = await running.enrolled("host-5", masterKey);
    const identity = await identityFolder("host-5", enrolment);
    await using backend = await open({ identity });
    await chmod(join(identity, "key.pem"), 0o644);
    await refused(unsealed(backend), "SETTINGS_INVALID", /others may read it/);
    await chmod(join(identity, "key.pem"), 0o600);
    await rm(join(identity, "ca.pem"));
    await refused(unsealed(backend), "SETTINGS_INVALID", /ca\.pem/);
    await using nowhere = await open({ identity: join(folder, "none") });
    await refused(unsealed(nowhere), "SETTINGS_INVALID", /cannot be read.*node enroll/);
  });

  test("is told whose state it seals first", async () => {
    await using backend = await open();
    await assert.rejects(backend.seal(secret(), header), TypeError);
  });
});
