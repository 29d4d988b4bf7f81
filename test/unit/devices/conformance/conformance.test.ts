import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { SecretBuffer as Secret } from "../../../../src/crypto/secret-buffer.ts";
import { reportText } from "../../../../src/devices/conformance/report.ts";
import { runConformance } from "../../../../src/devices/conformance/run.ts";
import type { ConformanceSubject } from "../../../../src/devices/conformance/subject.ts";
import type { BoxSecret, DeviceCapabilities, DeviceHealth } from "../../../../src/devices/device.ts";
import { DeviceError } from "../../../../src/devices/errors.ts";
import { FakeCard } from "../fake-card.ts";

const subjectOf = (device: FakeCard): ConformanceSubject => ({
  name: "card-1",
  kind: "sdf",
  info: { maker: "none" },
  device,
  sessions: 2,
  wrappingKeys: [{ keyIndex: 1 }],
  signingKeys: [],
  absentKey: { keyIndex: 65_535 },
});

/** Ids of the checks of each outcome. */
async function outcomes(device: FakeCard): Promise<Record<string, string>> {
  const { checks } = await runConformance(subjectOf(device));
  return Object.fromEntries(checks.map(({ id, outcome }) => [id, outcome]));
}

/** A device that has every key it is asked for takes the absent one too: its one failure. */
const flawless = (found: Record<string, string>) =>
  Object.entries(found)
    .filter(([id, outcome]) => outcome === "failed" && id !== "error/absent-key" && !id.startsWith("wrap/"))
    .map(([id]) => id);

describe("the conformance suite", () => {
  it("passes what works, and says in a report what does not, with the vendor's code", async () => {
    class Absent extends FakeCard {
      override createSpecifiedKey(...args: Parameters<FakeCard["createSpecifiedKey"]>) {
        if (args[1]?.keyIndex === 65_535)
          throw new DeviceError("DEVICE_FAILED", "odd answer", undefined, {
            kind: "device",
            code: "0x01000002",
            evict: true,
            retryable: true,
          });
        return super.createSpecifiedKey(...args);
      }
    }
    const told: string[] = [];
    const report = await runConformance(subjectOf(new Absent()), ({ id }) => told.push(id));
    assert.deepEqual(
      told,
      report.checks.map(({ id }) => id),
    );
    const absent = report.checks.find(({ id }) => id === "error/absent-key");
    assert.equal(absent?.outcome, "failed");
    assert.match(absent?.detail ?? "", /0x01000002/);
    const text = reportText(report);
    assert.match(text, /Conformance of device card-1 \(sdf\)/);
    assert.match(text, /passed +sign\/verifies/);
    assert.match(text, /failed +error\/absent-key/);
    assert.match(text, new RegExp(`${report.passed} passed, ${report.failed} failed`));
    assert.equal(report.passed + report.failed + report.notSupported, report.checks.length);
  });

  it("finds a device whose signatures are not over the digest", async () => {
    class Wrong extends FakeCard {
      override signDigest(...[key, algorithm, digest]: Parameters<FakeCard["signDigest"]>) {
        return super.signDigest(key, algorithm, Buffer.alloc(digest.length, 5));
      }
    }
    const found = await outcomes(new Wrong());
    assert.equal(found["sign/verifies"], "failed");
    assert.equal(found["load/at-once"], "failed");
  });

  it("finds a device that gives one caller's signature to another", async () => {
    class Mixed extends FakeCard {
      #last: Uint8Array | undefined;
      override signDigest(...[key, algorithm, digest]: Parameters<FakeCard["signDigest"]>) {
        const given = this.#last ?? digest;
        this.#last = digest;
        return super.signDigest(key, algorithm, given);
      }
    }
    assert.equal((await outcomes(new Mixed()))["load/at-once"], "failed");
  });

  it("finds a device that gives the same secret twice, or opens anything", async () => {
    class Constant extends FakeCard {
      override boxSecretToSeal(): Promise<BoxSecret> {
        return Promise.resolve({ secret: Secret.take(Buffer.alloc(32, 1)), algorithm: 9, blob: Buffer.alloc(64, 2) });
      }
      override boxSecretToOpen(): Promise<SecretBuffer> {
        return Promise.resolve(Secret.take(Buffer.alloc(32, 1)));
      }
    }
    const found = await outcomes(new Constant());
    assert.equal(found["wrap/round-trip"], "passed");
    for (const id of ["wrap/fresh", "wrap/other-context", "wrap/altered"]) assert.equal(found[id], "failed", id);
  });

  it("finds a device that is worn out by many calls", async () => {
    class Tiring extends FakeCard {
      #signed = 0;
      override signDigest(...args: Parameters<FakeCard["signDigest"]>) {
        this.#signed += 1;
        return super.signDigest(...args);
      }
      override health(): Promise<DeviceHealth> {
        return Promise.resolve({ state: this.#signed > 500 ? "degraded" : "ready", detail: "no session left" });
      }
    }
    const found = await outcomes(new Tiring());
    assert.equal(found["open/self-test"], "passed");
    assert.equal(found["load/many"], "failed");
  });

  it("calls what a device does not do not supported, which is no failure", async () => {
    class Signer extends FakeCard {
      override capabilities(): DeviceCapabilities {
        return { kind: "sdf", suites: [], specs: ["SM2"], authenticatesBlobs: true };
      }
    }
    const found = await outcomes(new Signer());
    for (const id of ["wrap/round-trip", "mac/deterministic"]) assert.equal(found[id], "not supported", id);
    assert.deepEqual(flawless(found), []);
  });

  it("ends with a report also when everything fails", async () => {
    const card = new FakeCard();
    card.failure = new DeviceError("DEVICE_UNREACHABLE", "unplugged", undefined, {
      kind: "comm",
      code: "0x01000003",
      evict: true,
      retryable: true,
    });
    const report = await runConformance(subjectOf(card));
    const failed = report.checks.filter(({ outcome }) => outcome === "failed");
    assert.ok(failed.length >= 8);
    assert.ok(failed.some(({ vendorCode }) => vendorCode === "0x01000003"));
  });

  it("destroys every key that it had the device make", async () => {
    const card = new FakeCard();
    await runConformance(subjectOf(card));
    const made = card.asked.filter((call) => call.startsWith("create")).length;
    const destroyed = card.asked.filter((call) => call === "destroyKey").length;
    // The absent key, which this device takes, is the one that nobody holds.
    assert.equal(destroyed, made - 1);
  });
});
