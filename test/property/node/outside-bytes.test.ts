import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../src/crypto/suite.ts";
import { NodeError } from "../../../src/node/errors.ts";
import { detectKeyFormat, keyFormats } from "../../../src/node/key-formats/table.ts";
import type { SealedFileEntry } from "../../../src/node/manifest.ts";
import { parseManifest } from "../../../src/node/manifest-reader.ts";
import { newManifestText, withoutSealedFile, withSealedFile } from "../../../src/node/manifest-writer.ts";
import { nearest } from "../../../src/node/nearest.ts";
import { peerUid } from "../../../src/node/peer-uid.ts";
import { encodeSealedFile, openSealedFile, readSealedMetadata } from "../../../src/node/sealed-file.ts";
import { scaled, seed } from "../../run-settings.ts";

const runs = { seed, numRuns: scaled(4000) };

/** The call succeeds, or fails with a NodeError: nothing else may come out of a parser of outside bytes. */
function onlyNodeErrors(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof NodeError, String((error as Error).stack));
  }
}

const text = newManifestText({
  name: "n",
  kind: "geth",
  network: "net",
  servers: ["https://km:1"],
  masterKey: "alias/k",
  identity: { kind: "file", folder: "identity" },
  volumeKind: "level",
  argv: ["geth", "{fd:level}", "{data}"],
});
const lines = text.split("\n");

describe("the manifest reader, whatever the file holds", () => {
  it("answers any text with a manifest or MANIFEST_INVALID", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.string({ maxLength: 400 })), (random) =>
        onlyNodeErrors(() => parseManifest(random)),
      ),
      runs,
    );
  });

  it("answers a manifest with lines changed, moved or lost in the same way", () => {
    const line = fc.nat(lines.length - 1);
    const value = fc.oneof(
      fc.constantFrom("[]", "{}", "1e999", "-1", "nan", "1979-05-27", "true", '""', "[[1]]", "9223372036854775807"),
      fc.string({ maxLength: 40 }).map((content) => JSON.stringify(content)),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(line, fc.option(line), value), { maxLength: 6 }), (changes) => {
        const changed = [...lines];
        for (const [at, other, replacement] of changes)
          changed[at] =
            other === null ? "" : (lines[other] ?? "").replace(/^# (?=\w+ =)/, "").replace(/=.*$/, `= ${replacement}`);
        onlyNodeErrors(() => parseManifest(changed.join("\n")));
      }),
      runs,
    );
  });

  it("keeps every sealed file that is added, and is as before when all are taken out", () => {
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
    const path = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((it) => !/\p{Cc}/u.test(it));
    const entry: fc.Arbitrary<SealedFileEntry> = fc.record(
      {
        name,
        path,
        sealed: path.map((text) => `sealed/${text.replaceAll("/", "_")}.sealed`),
        format: name,
        handover: fc.constantFrom("fd", "fifo", "tmpfs-file", "native"),
        publicIdentity: fc.constantFrom("none", "ab".repeat(64), `sha256:${"0".repeat(64)}`),
        version: fc.integer({ min: 1, max: 0xffffffff }),
        reads: fc.integer({ min: 1, max: 64 }),
        link: fc.boolean(),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.uniqueArray(entry, { maxLength: 5, selector: (it) => it.name }), (entries) => {
        const added = entries.reduce(withSealedFile, text);
        assert.deepEqual(parseManifest(added).sealedFiles, entries);
        const removed = entries.reduce((manifest, { name: which }) => withoutSealedFile(manifest, which), added);
        assert.equal(removed.trimEnd(), text.trimEnd());
      }),
      { seed, numRuns: scaled(1000) },
    );
  });

  it("suggests only names that exist", () => {
    fc.assert(
      fc.property(fc.string(), (word) => {
        const found = nearest(word, ["servers", "ca", "master_key"]);
        assert.ok(found === undefined || ["servers", "ca", "master_key"].includes(found));
      }),
      runs,
    );
  });
});

describe("key files, whatever they hold", () => {
  it("answer with an identity or KEY_FILE_INVALID", () => {
    const header = fc.constantFrom(
      "",
      "-----BEGIN PRIVATE KEY-----\n",
      "-----BEGIN EC PRIVATE KEY-----\n",
      "0".repeat(63),
    );
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        const bytes = Buffer.concat([Buffer.from(start), rest]);
        onlyNodeErrors(() => detectKeyFormat(SecretBuffer.copyOf(bytes)));
        for (const format of keyFormats) onlyNodeErrors(() => format.readPublicIdentity(SecretBuffer.copyOf(bytes)));
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});

describe("sealed files, whatever they hold", () => {
  const owner = { node: "n", network: "net" };
  const dataKey = SecretBuffer.random(32);
  const key = { suite: suites.intl, id: "00000000-0000-4000-8000-000000000001", version: 1 };
  const metadata = {
    name: "a",
    ...owner,
    format: "opaque",
    publicIdentity: { algorithm: "none" },
    version: 1,
    sealedAt: "",
  };
  const good = encodeSealedFile(metadata, key, dataKey, SecretBuffer.copyOf(Buffer.from("secret")));

  it("are read or refused with SEALED_FILE_DAMAGED, and never open changed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(good.length)),
        fc.uint8Array({ maxLength: 20 }),
        (changes, cut, tail) => {
          const bad = Buffer.concat([good.subarray(0, cut ?? good.length), tail]);
          for (const [at, byte] of changes) if (at < bad.length) bad[at] = byte;
          onlyNodeErrors(() => readSealedMetadata(bad));
          if (bad.equals(good)) return;
          assert.throws(() => openSealedFile(bad, owner, dataKey), { code: "SEALED_FILE_DAMAGED" });
        },
      ),
      runs,
    );
  });

  it("are refused when they are any bytes at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.throws(() => openSealedFile(Buffer.from(bytes), owner, dataKey), { code: "SEALED_FILE_DAMAGED" });
      }),
      runs,
    );
  });
});

describe("the table of TCP connections, whatever it holds", () => {
  it("gives a user id or none", () => {
    const socket = { remoteAddress: "127.0.0.1", remotePort: 1, localAddress: "127.0.0.1", localPort: 2 };
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (table) => {
        const uid = peerUid(socket, () => `head\n 0: 0100007F:0001 0100007F:0002 01 ${table}`);
        assert.ok(uid === undefined || Number.isSafeInteger(uid));
      }),
      runs,
    );
  });
});
