import { randomBytes, randomUUID } from "node:crypto";
import { CryptoError } from "../../crypto/errors.ts";
import { isKeyPairSpec, isMacSpec, keySpecs, signingAlgorithms } from "../../crypto/key-specs.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { DeviceError } from "../errors.ts";
import { CheckFailure, NotSupported } from "./failures.ts";
import type { ConformanceSubject } from "./subject.ts";
import { eachSigningKey, eachWrappingKey, newMacKey, sealed } from "./test-keys.ts";

/** One thing that a device has to do. */
export interface Check {
  readonly id: string;
  readonly demand: string;
  /** Throws what was wrong. */
  run(subject: ConformanceSubject): Promise<void>;
}

const context = { purpose: "conformance", network: "测试" } as const;
const otherContext = { purpose: "conformance", network: "other" } as const;
/** Enough that handles that are not given back show: common libraries have some hundreds. */
const manyCalls = 1000;

/** In the order in which they run: what later ones rest on comes first. */
export const checks: readonly Check[] = [
  {
    id: "open/self-test",
    demand: "opens, and passes the known-answer tests of its layout profile",
    async run({ device }) {
      const { state, detail } = await device.health();
      must(state === "ready", `it is ${state}: ${detail}`);
    },
  },
  {
    id: "wrap/round-trip",
    demand: "gives back the secret that it wrapped, under the same key and context",
    run: (subject) =>
      eachWrappingKey(subject, async (key) => {
        using box = await sealed(subject.device, key, context);
        using opened = await subject.device.boxSecretToOpen(key, box.algorithm, box.blob, context);
        must(opened.equals(box.secret), "another secret came back");
      }),
  },
  {
    id: "wrap/fresh",
    demand: "wraps a new secret each time",
    run: (subject) =>
      eachWrappingKey(subject, async (key) => {
        using one = await sealed(subject.device, key, context);
        using other = await sealed(subject.device, key, context);
        must(!one.secret.equals(other.secret) && !one.blob.equals(other.blob), "the same secret or blob came twice");
      }),
  },
  {
    id: "wrap/other-context",
    demand: "opens nothing under another context",
    run: (subject) =>
      eachWrappingKey(subject, async (key) => {
        using box = await sealed(subject.device, key, context);
        await mustRefuse(() => subject.device.boxSecretToOpen(key, box.algorithm, box.blob, otherContext));
      }),
  },
  {
    id: "wrap/altered",
    demand: "opens no blob with a byte changed, cut or added",
    run: (subject) =>
      eachWrappingKey(subject, async (key) => {
        using box = await sealed(subject.device, key, context);
        for (const blob of damaged(box.blob))
          await mustRefuse(() => subject.device.boxSecretToOpen(key, box.algorithm, blob, context));
      }),
  },
  {
    id: "sign/verifies",
    demand: "signs so that OpenSSL verifies it with the exported public key, and no other digest",
    run: (subject) =>
      eachSigningKey(subject, async (key, spki) => {
        using publicKey = await OpensslKey.ofPublicKey(key.spec, spki);
        for (const algorithm of keySpecs[key.spec].signing) {
          const { digestBytes } = signingAlgorithms[algorithm];
          const digest = randomBytes(digestBytes);
          const signature = await subject.device.signDigest(key, algorithm, digest);
          must(publicKey.verifyDigest(algorithm, digest, signature), `${algorithm}: the signature does not verify`);
          digest[digestBytes - 1] = (digest[digestBytes - 1] ?? 0) ^ 1;
          must(!publicKey.verifyDigest(algorithm, digest, signature), `${algorithm}: it verifies for another digest`);
        }
      }),
  },
  {
    id: "sign/extreme-digests",
    demand: "signs digests of zeros and of ones, which keep their length",
    run: (subject) =>
      eachSigningKey(subject, async (key, spki) => {
        using publicKey = await OpensslKey.ofPublicKey(key.spec, spki);
        const [algorithm] = keySpecs[key.spec].signing;
        if (algorithm === undefined) throw new NotSupported("the spec signs nothing");
        for (const fill of [0, 0xff, 1]) {
          const digest = Buffer.alloc(signingAlgorithms[algorithm].digestBytes, fill);
          const signature = await subject.device.signDigest(key, algorithm, digest);
          must(publicKey.verifyDigest(algorithm, digest, signature), `a digest of bytes ${fill}: it does not verify`);
        }
      }),
  },
  {
    id: "sign/same-key",
    demand: "shows the same public key each time",
    run: (subject) =>
      eachSigningKey(subject, async (key, spki, again) => {
        const second = await again();
        if (second !== undefined) must(second.equals(spki), `key ${key.spec}: another public key than before`);
      }),
  },
  {
    id: "mac/deterministic",
    demand: "makes the same MAC of the same message, and another of another",
    async run(subject) {
      const specs = subject.device.capabilities().specs.filter(isMacSpec);
      if (specs.length === 0) throw new NotSupported("the device makes no MACs");
      for (const spec of specs) {
        await using made = await newMacKey(subject, spec);
        for (const algorithm of keySpecs[spec].macs) {
          const one = await subject.device.mac(made.key, algorithm, Buffer.from("message"));
          const same = await subject.device.mac(made.key, algorithm, Buffer.from("message"));
          const other = await subject.device.mac(made.key, algorithm, Buffer.from("messagf"));
          must(one.equals(same) && !one.equals(other), `${algorithm}: not a function of the message`);
        }
      }
    },
  },
  {
    id: "error/absent-key",
    demand: "says of a key that is not there that it is not there",
    async run({ device, absentKey }) {
      const [spec] = device.capabilities().specs.filter(isKeyPairSpec);
      if (spec === undefined) throw new NotSupported("the device has no key pairs");
      const { suite } = keySpecs[spec];
      const key = { keyId: randomUUID(), version: 1, suite, spec, usage: "sign" } as const;
      const error = await failureOf(() => device.createSpecifiedKey(key, absentKey));
      must(error instanceof DeviceError, "it took a key that is not there");
      must(
        error.code === "DEVICE_KEY_NOT_FOUND",
        `it said ${error.code} (${error.failure?.code ?? "no code"}): ${error.message}`,
      );
    },
  },
  {
    id: "load/at-once",
    demand: "answers as many callers at once as it has sessions, and twice as many, each with its own signature",
    run: (subject) =>
      eachSigningKey(subject, async (key, spki) => {
        using publicKey = await OpensslKey.ofPublicKey(key.spec, spki);
        const [algorithm] = keySpecs[key.spec].signing;
        if (algorithm === undefined) throw new NotSupported("the spec signs nothing");
        const digests = Array.from({ length: subject.sessions * 2 * 8 }, () =>
          randomBytes(signingAlgorithms[algorithm].digestBytes),
        );
        const signatures = await Promise.all(digests.map((each) => subject.device.signDigest(key, algorithm, each)));
        for (const [index, signature] of signatures.entries())
          must(
            publicKey.verifyDigest(algorithm, digests[index] ?? Buffer.alloc(0), signature),
            "a signature is another caller's",
          );
      }),
  },
  {
    id: "load/many",
    demand: `signs ${manyCalls} times and is as ready as before`,
    run: (subject) =>
      eachSigningKey(subject, async (key) => {
        const [algorithm] = keySpecs[key.spec].signing;
        if (algorithm === undefined) throw new NotSupported("the spec signs nothing");
        const digest = randomBytes(signingAlgorithms[algorithm].digestBytes);
        let left = manyCalls;
        const caller = async () => {
          while (left-- > 0) await subject.device.signDigest(key, algorithm, digest);
        };
        await Promise.all(Array.from({ length: subject.sessions }, caller));
        const { state, detail } = await subject.device.health();
        must(state === "ready", `it is ${state} afterwards: ${detail}`);
      }),
  },
];

function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new CheckFailure(otherwise);
}

/** What it failed with; undefined when it did not. */
async function failureOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function mustRefuse(open: () => Promise<Disposable>): Promise<void> {
  try {
    using _opened = await open();
  } catch (error) {
    if (error instanceof CryptoError && error.code === "BOX_REFUSED") return;
    throw error;
  }
  throw new CheckFailure("it opened");
}

/** Every eighth byte changed, and the ends cut and lengthened. */
function damaged(blob: Buffer): readonly Buffer[] {
  const changed = Array.from({ length: Math.ceil(blob.length / 8) }, (_, index) => {
    const copy = Buffer.from(blob);
    copy[index * 8] = (copy[index * 8] ?? 0) ^ 0x10;
    return copy;
  });
  return [...changed, blob.subarray(0, -1), Buffer.concat([blob, Buffer.alloc(1)]), Buffer.alloc(0)];
}
