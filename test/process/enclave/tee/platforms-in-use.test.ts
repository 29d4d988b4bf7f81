import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { measuredPcr } from "../../../../src/enclave/evidence/tpm.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { exportKeys, generate, importKeys, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { EnclaveProcess } from "../../../../src/enclave/stub/enclave-process.ts";
import { Stub } from "../../../../src/enclave/stub/stub.ts";
import { createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import { openGramineBackend } from "../../../../src/enclave/tee/gramine/backend.ts";
import type { TeeSettings } from "../../../../src/enclave/tee/open-backend.ts";
import { certifyTpm } from "../../../../src/enclave/tee/tpm/attestation-key.ts";
import { openTpmBackend } from "../../../../src/enclave/tee/tpm/backend.ts";
import { GramineFolder } from "../../../enclave-platforms/gramine-folder.ts";
import { collateralOf, createIntel, type IntelStandIn } from "../../../enclave-platforms/intel.ts";
import { judgeUnder } from "../../../enclave-platforms/judging.ts";
import { noSwtpm, Swtpm } from "../../../enclave-platforms/swtpm.ts";
import { clientOf } from "../../../unit/enclave/operator/world-hosts.ts";
import { decryptIn, encryptIn } from "../../../unit/enclave/process/probe.ts";
import { codeIn, World } from "../../../unit/enclave/process/world.ts";
import { isRunning } from "../stub/driven-stub.ts";
import { testEntry } from "../stub/entries.ts";

const allTypes = ["simulated", "tpm", "sgx-dcap"];
/** TPM 2.0: a PCR of zeros, extended once; the measurement is the digest of the one PCR that a quote is about. */
const sha256 = (...parts: readonly Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const tpmMeasurement = (code: string) => sha256(sha256(Buffer.alloc(32), Buffer.from(code, "hex")));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex").toUpperCase();

/**
 * Enclaves as processes of their own, driven by the stub, on a TPM in software and on a folder that answers as Gramine does. Code on
 * another kind of platform has another measurement, so the keys go from one to the other as to a successor (decision 0612). Each
 * test goes on where the one before ended.
 */
describe("enclaves on a simulated platform, a TPM and Gramine", { skip: noSwtpm() }, () => {
  let world: World;
  let intel: IntelStandIn;
  let collateral: Record<string, string>;
  let tpm: Swtpm;
  let gramine: GramineFolder;
  let entry: URL;
  let onTpm: string;
  let tpmTee: TeeSettings;
  let gramineTee: TeeSettings;
  let simulated: Stub;
  let inTpm: Stub;
  let inGramine: Stub;
  let simulatedCredentials: Buffer;
  let value: Buffer;
  const opened: AsyncDisposable[] = [];

  const roots = () => [
    { attestationType: "simulated", root: Buffer.from(world.root.pem) },
    { attestationType: "tpm", root: Buffer.from(world.root.pem) },
  ];
  const open = async (name: string, tee: TeeSettings) => {
    const stub = await Stub.open({ folder: join(world.folder, name), tee, exchange: world.exchange, entry });
    opened.push(stub);
    return stub;
  };
  const handOver = async (from: Stub, fromMsp: string, to: Stub, toMsp: string) => {
    await exportKeys(clientOf(world, fromMsp), from, [ownId(to)]);
    await importKeys(clientOf(world, toMsp), to);
  };
  const endProcess = async (stub: Stub) => {
    const pid = await stub.pid();
    process.kill(pid, "SIGKILL");
    while (isRunning(pid)) await wait(10);
    // Until the host has heard of it, it is told that the enclave ended.
    while ((await stub.pid().catch(() => pid)) === pid) await wait(10);
  };
  /** Credentials as the enclave gave them, with an attestation of something else. */
  const withAttestation = (credentials: Buffer, attestation: Buffer) =>
    encode(
      CredentialsSchema,
      create(CredentialsSchema, { ...decodeStrict(CredentialsSchema, credentials), attestation }),
    );

  before(async () => {
    intel = await createIntel();
    const nowMs = Date.now();
    const lifetime = { issued: new Date(nowMs - 60_000), nextUpdate: new Date(nowMs + 86_400_000) };
    collateral = await collateralOf(intel, lifetime);
    world = await World.start({}, judgeUnder(intel.root.der));
    onTpm = hex(tpmMeasurement(world.measurement));
    entry = testEntry(world, undefined, { probes: true, intelRoot: intel.root.der.toString("base64") });
    tpm = await Swtpm.start(join(world.folder, "swtpm"));
    const platform = join(world.folder, "tpm-platform");
    await certifyTpm(platform, tpm.tcti, world.root, "host 2");
    tpmTee = { kind: "tpm", platform, tcti: tpm.tcti };
    // A processor would measure the enclave's pages; here they are said to be the TPM's code, so that both are of one version.
    const key = Buffer.alloc(16, 7);
    gramine = await GramineFolder.create(join(world.folder, "attestation"), intel, Buffer.from(onTpm, "hex"), key);
    gramineTee = { kind: "gramine", folder: gramine.folder };

    simulated = await open("org1", { kind: "process", platform: world.platform("Org1MSP") });
    simulatedCredentials = await world.register(await simulated.initEnclave(world.creation("Org1MSP")));
    await generate(clientOf(world, "Org1MSP"), simulated);
    value = await encryptIn(simulated, "a value");
  });
  after(async () => {
    for (const one of opened) await one[Symbol.asyncDispose]();
    await gramine[Symbol.asyncDispose]();
    await tpm[Symbol.asyncDispose]();
    world[Symbol.dispose]();
  });

  it("say what they are, what is measured, and whether the host's root is kept out", async () => {
    inTpm = await open("org2", tpmTee);
    inGramine = await open("org3", gramineTee);
    const said = async (stub: Stub) => {
      const { tee, measurement, protectsFromRoot } = await stub.status();
      return [tee, measurement, protectsFromRoot];
    };
    assert.deepEqual(await said(simulated), ["process", world.measurement, false]);
    assert.deepEqual(await said(inTpm), ["tpm", onTpm, false]);
    assert.deepEqual(await said(inGramine), ["gramine", onTpm, true]);
  });

  it("are not created for a version that is another platform's measurement", async () => {
    for (const stub of [inTpm, inGramine])
      await assert.rejects(stub.initEnclave(world.creation("Org2MSP")), { code: "WRONG_CONTEXT" });
  });

  it("are not registered where the policy does not allow their kind, or their version", async () => {
    await inTpm.initEnclave(world.creation("Org2MSP", { version: onTpm, sequence: 2n }));
    await inGramine.initEnclave(world.creation("Org3MSP", { version: onTpm, sequence: 2n }));
    await assert.rejects(world.register(inTpm.credentials()), { code: "POLICY_DENIED" });
    await world.setPolicy({ successor: { version: onTpm, sequence: 2n } });
    for (const stub of [inTpm, inGramine])
      await assert.rejects(world.register(stub.credentials(), collateral), {
        code: "POLICY_DENIED",
        message: /does not allow attestations of type/,
      });
  });

  it("are not registered under another root, by a quote about something else, or of another time", async () => {
    const other = await createAttestationRoot(join(world.folder, "other-root"), "other root");
    const successor = { version: onTpm, sequence: 2n };
    const allowed = { successor, allowedAttestationTypes: allTypes, allowedTcbStatuses: ["UpToDate"] };
    const foreign = { attestationType: "tpm", root: Buffer.from(other.pem) };
    await world.setPolicy({ ...allowed, attestationRoots: [...roots().slice(0, 1), foreign] });
    const refused = { code: "BAD_EVIDENCE" };
    await assert.rejects(world.register(inTpm.credentials()), refused);
    const otherIntel = await createIntel();
    await assert.rejects(world.register(inGramine.credentials(), await collateralOf(otherIntel)), refused);

    await world.setPolicy({ ...allowed, attestationRoots: roots() });
    assert(tpmTee.kind === "tpm" && gramineTee.kind === "gramine");
    await using tpmBackend = await openTpmBackend({ ...tpmTee, code: codeIn(world.folder, "chaincode") });
    await using gramineBackend = await openGramineBackend(gramineTee);
    const another = Buffer.from("another statement, in the place of the nonce");
    const falseInTpm = withAttestation(inTpm.credentials(), await tpmBackend.quote(another));
    await assert.rejects(world.register(falseInTpm), refused);
    const falseInGramine = withAttestation(inGramine.credentials(), await gramineBackend.quote(another));
    await assert.rejects(world.register(falseInGramine, collateral), refused);
    const mixed = withAttestation(
      inTpm.credentials(),
      decodeStrict(CredentialsSchema, inGramine.credentials()).attestation as Buffer,
    );
    await assert.rejects(world.register(mixed, collateral), refused);
    await assert.rejects(world.register(inGramine.credentials(), await collateralOf(intel)), refused, "old collateral");
  });

  it("hand the keys from one kind to the other, which read what was written before", async () => {
    await world.register(inTpm.credentials());
    await world.register(inGramine.credentials(), collateral);
    await handOver(simulated, "Org1MSP", inTpm, "Org2MSP");
    await handOver(inTpm, "Org2MSP", inGramine, "Org3MSP");
    for (const stub of [simulated, inTpm, inGramine]) assert.equal(await decryptIn(stub, value), "a value");
    world.define({ version: onTpm, sequence: 2n });
    const more = await encryptIn(inTpm, "another value");
    assert.equal(await decryptIn(inGramine, more), "another value");
    // And never back: what runs on the simulated platform is of the version before.
    await assert.rejects(inTpm.exportCCKeys(simulatedCredentials), { code: "POLICY_DENIED" });
  });

  it("go on from their sealed blobs after kill -9, and after the machine's next start", async () => {
    for (const stub of [inTpm, inGramine]) {
      await endProcess(stub);
      assert.equal(await decryptIn(stub, value), "a value");
    }
    await inTpm[Symbol.asyncDispose]();
    await tpm.restart();
    inTpm = await open("org2", tpmTee);
    assert.equal(await decryptIn(inTpm, value), "a value");
  });

  it("make keys of their own, and propose the next ones", async () => {
    await inTpm.proposeGeneration();
    const { enclave } = await inTpm.status();
    assert.deepEqual(
      enclave?.generations.map(({ number }) => number),
      [1, 2],
    );
  });

  const openedIn = async (name: string, blob: string, tee: TeeSettings) => {
    cpSync(join(world.folder, blob), join(world.folder, name), { recursive: true });
    return open(name, tee);
  };

  it("do not open the blob of another machine, of another processor, or of another kind of platform", async () => {
    const unsealFails = { code: "UNSEAL_FAILED" };
    const second = await Swtpm.start(join(world.folder, "swtpm-2"));
    opened.push(second);
    const platform = join(world.folder, "tpm-platform-2");
    await certifyTpm(platform, second.tcti, world.root, "host 3");
    const secondTpm: TeeSettings = { kind: "tpm", platform, tcti: second.tcti };
    await assert.rejects((await openedIn("moved-tpm", "org2", secondTpm)).status(), unsealFails);
    await assert.rejects((await openedIn("moved-to-gramine", "org2", gramineTee)).status(), unsealFails);
    await assert.rejects((await openedIn("moved-to-tpm", "org1", secondTpm)).status(), unsealFails);
    const otherKey = await GramineFolder.create(
      join(world.folder, "attestation-2"),
      intel,
      Buffer.from(onTpm, "hex"),
      Buffer.alloc(16, 8),
    );
    opened.push(otherKey);
    const otherProcessor: TeeSettings = { kind: "gramine", folder: otherKey.folder };
    await assert.rejects((await openedIn("moved-gramine", "org3", otherProcessor)).status(), unsealFails);
  });

  it("do not open in a TPM once more was measured, also by a process that was started before", async () => {
    const id = (await inTpm.status()).enclave?.id ?? "";
    await inTpm[Symbol.asyncDispose]();
    const enclave = new EnclaveProcess({ answer: () => Promise.reject(new Error("nothing is asked")), entry });
    await enclave.call("start", Buffer.from(JSON.stringify(tpmTee)));
    tpm.extend(measuredPcr, "ab".repeat(32));
    const { trustedLedger } = world.creation("Org2MSP");
    const blob = readFileSync(join(world.folder, "org2", "blob"));
    await assert.rejects(enclave.call("open", blob, Buffer.from(id), trustedLedger), { code: "UNSEAL_FAILED" });
    await enclave.end();
    inTpm = await open("org2", tpmTee);
    await assert.rejects(inTpm.status(), { code: "SETTINGS_INVALID", message: /holds the measurement of other code/ });
    await tpm.restart();
    assert.equal(await decryptIn(inTpm, value), "a value");
  });
});
