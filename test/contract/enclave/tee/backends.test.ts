import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { readAttestation, toEvidence } from "../../../../src/enclave/evidence/attestation-json.ts";
import { dcapVerifiers } from "../../../../src/enclave/evidence/dcap.ts";
import { AttestationJudge } from "../../../../src/enclave/evidence/judge.ts";
import { type AttestationRoot, createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import type { TeeBackend, TeeKind } from "../../../../src/enclave/tee/backend.ts";
import { openGramineBackend } from "../../../../src/enclave/tee/gramine/backend.ts";
import type { EnclaveCode } from "../../../../src/enclave/tee/measure-code.ts";
import { describeBackends } from "../../../../src/enclave/tee/open-backend.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import { certifyTpm } from "../../../../src/enclave/tee/tpm/attestation-key.ts";
import { openTpmBackend } from "../../../../src/enclave/tee/tpm/backend.ts";
import { GramineFolder } from "../../../enclave-platforms/gramine-folder.ts";
import { collateralOf, createIntel, type IntelStandIn } from "../../../enclave-platforms/intel.ts";
import { policyFor } from "../../../enclave-platforms/judging.ts";
import { noSwtpm, Swtpm } from "../../../enclave-platforms/swtpm.ts";

/** One kind of platform: two of them, and on each of them code of two versions. */
interface Platforms {
  readonly kind: TeeKind;
  open(platform: "first" | "second", code: "one" | "two"): Promise<TeeBackend>;
}

let folder: string;
let root: AttestationRoot;
let intel: IntelStandIn;
const cleanups: AsyncDisposable[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "tee-"));
  root = await createAttestationRoot(join(folder, "root"), "Org1");
  intel = await createIntel();
});

after(async () => {
  for (const one of cleanups) await one[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function codeOf(version: string): Promise<EnclaveCode> {
  await writeFile(join(folder, `enclave-${version}.ts`), `export const version = "${version}";\n`);
  return { base: folder, parts: [`enclave-${version}.ts`], program: "/bin/sh", role: "chaincode" };
}

function processPlatforms(): Platforms {
  const made = new Set<string>();
  return {
    kind: "process",
    async open(name, code) {
      const platform = join(folder, `process-${name}`);
      if (!made.has(name)) await createProcessPlatform(platform, root, name);
      made.add(name);
      return await openProcessBackend({ platform, code: await codeOf(code) });
    },
  };
}

function tpmPlatforms(): Platforms {
  const tpms = new Map<string, { tpm: Swtpm; code: string }>();
  return {
    kind: "tpm",
    async open(name, code) {
      const platform = join(folder, `tpm-${name}`);
      let known = tpms.get(name);
      if (known === undefined) {
        known = { tpm: await Swtpm.start(join(folder, name)), code };
        cleanups.push(known.tpm);
        await certifyTpm(platform, known.tpm.tcti, root, name);
      }
      // Other code gets a PCR of its own only with the next start of the machine.
      if (known.code !== code) await known.tpm.restart();
      tpms.set(name, { tpm: known.tpm, code });
      return await openTpmBackend({ platform, tcti: known.tpm.tcti, code: await codeOf(code) });
    },
  };
}

function graminePlatforms(): Platforms {
  const folders = new Map<string, GramineFolder>();
  return {
    kind: "gramine",
    async open(name, code) {
      const id = `${name}-${code}`;
      // The processor derives the key from its own secret and MRENCLAVE.
      const [mrEnclave, key] = [
        Buffer.alloc(32, code === "one" ? 0xe1 : 0xe2),
        Buffer.alloc(16, id.length + code.length),
      ];
      key.write(id, "latin1");
      const known =
        folders.get(id) ?? (await GramineFolder.create(join(folder, `gramine-${id}`), intel, mrEnclave, key));
      if (!folders.has(id)) cleanups.push(known);
      folders.set(id, known);
      return await openGramineBackend({ folder: known.folder });
    },
  };
}

const kinds: readonly (readonly [string, () => Platforms, string | false])[] = [
  ["process", processPlatforms, false],
  ["tpm", tpmPlatforms, noSwtpm()],
  ["gramine", graminePlatforms, false],
];
const secretText = "SEK, Chaincode_DK and all that an enclave keeps";
const associatedData = Buffer.from("header of the blob");

for (const [name, platformsOf, skip] of kinds)
  suite(`the ${name} platform`, { skip }, () => {
    let platforms: Platforms;
    before(() => {
      platforms = platformsOf();
    });

    const secret = () => SecretBuffer.take(Buffer.from(secretText));
    const unsealFails = async (backend: TeeBackend, sealed: Uint8Array, data: Uint8Array = associatedData) =>
      await assert.rejects(backend.unseal(sealed, data), (error: unknown) => {
        assert.ok(error instanceof EnclaveError, String(error));
        assert.equal(error.code, "UNSEAL_FAILED", error.message);
        return true;
      });

    test("tells its kind, and of what it does not protect", async () => {
      await using backend = await platforms.open("first", "one");
      assert.equal(backend.kind, name);
      const facts = describeBackends().find((one) => one.kind === name);
      assert.equal(backend.protectsFromRoot, facts?.protectsFromRoot);
      assert.match(facts?.doesNotProtect ?? "", backend.protectsFromRoot ? /processor/ : /host's root/);
    });

    test("measures code: the same on every platform, another for other code", async () => {
      await using first = await platforms.open("first", "one");
      await using second = await platforms.open("second", "one");
      const measurement = await first.measure();
      assert.match(measurement, /^[0-9A-F]{64}$/);
      assert.equal(await second.measure(), measurement);
      await using other = await platforms.open("second", "two");
      assert.notEqual(await other.measure(), measurement);
    });

    test("unseals what it sealed, also after it was opened again", async () => {
      let sealed: Buffer;
      {
        await using backend = await platforms.open("first", "one");
        using kept = secret();
        sealed = await backend.seal(kept, associatedData);
        assert.equal(sealed.includes(secretText.slice(0, 12)), false);
        using opened = await backend.unseal(sealed, associatedData);
        assert.ok(opened.equals(Buffer.from(secretText)));
        using again = secret();
        assert.notDeepEqual(await backend.seal(again, associatedData), sealed);
      }
      await using backend = await platforms.open("first", "one");
      using opened = await backend.unseal(sealed, associatedData);
      assert.ok(opened.equals(Buffer.from(secretText)));
    });

    test("does not unseal with other associated data, an altered blob, a cut or an empty one", async () => {
      await using backend = await platforms.open("first", "one");
      using kept = secret();
      const sealed = await backend.seal(kept, associatedData);
      await unsealFails(backend, sealed, Buffer.from("header of the blub"));
      await unsealFails(backend, sealed, Buffer.alloc(0));
      const length = sealed.length;
      for (const at of [0, 2, 3, length - 60, length - 1]) {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ 1;
        await unsealFails(backend, changed);
      }
      for (const cut of [0, 2, length - 60, length - 1]) await unsealFails(backend, sealed.subarray(0, cut));
      await unsealFails(backend, Buffer.concat([sealed, Buffer.of(0)]));
    });

    test("does not unseal a blob of another platform, nor one of other code on the same platform", async () => {
      let sealed: Buffer;
      {
        await using backend = await platforms.open("first", "one");
        using kept = secret();
        sealed = await backend.seal(kept, associatedData);
      }
      await using second = await platforms.open("second", "one");
      await unsealFails(second, sealed);
      {
        await using upgraded = await platforms.open("first", "two");
        await unsealFails(upgraded, sealed);
      }
      await using first = await platforms.open("first", "one");
      using opened = await first.unseal(sealed, associatedData);
      assert.ok(opened.equals(Buffer.from(secretText)));
    });

    test("its quote proves a statement and a measurement to the judge, and no other", async () => {
      await using backend = await platforms.open("first", "one");
      const statement = Buffer.from("attested data");
      const [attestation, other] = await Promise.all([backend.quote(statement), backend.quote(Buffer.from("another"))]);
      const { type } = readAttestation(attestation);
      assert.equal(type, describeBackends().find((one) => one.kind === name)?.attestationType);
      const nowMs = Date.now();
      const collateral =
        type === "sgx-dcap"
          ? await collateralOf(intel, { issued: new Date(nowMs - 60_000), nextUpdate: new Date(nowMs + 86_400_000) })
          : {};
      const judge = new AttestationJudge(type === "sgx-dcap" ? dcapVerifiers(intel.root.der) : undefined);
      const judged = async (quote: Buffer, about: Buffer) =>
        await judge.judge({
          statement: about,
          attestation: quote,
          evidence: toEvidence(quote, collateral),
          measurement: await backend.measure(),
          policy: policyFor(type, [root.pem]),
          atMs: nowMs,
          floor: undefined,
        });
      const verdict = await judged(attestation, statement);
      assert.equal(verdict.measurement, await backend.measure());
      await judged(other, Buffer.from("another"));
      await assert.rejects(judged(other, statement), { code: "BAD_EVIDENCE" });
      await assert.rejects(judged(attestation, Buffer.from("attested date")), { code: "BAD_EVIDENCE" });
    });
  });
