import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import {
  decodeHandover,
  encodeHandover,
  type Handover,
  readHandover,
} from "../../../../../src/volume/sealfs/server/handover.ts";

const handover: Handover = {
  store: "/v/store",
  mountPoint: "/v/root",
  volumeId: "01234567-89ab-4cde-8f01-23456789abcd",
  suite: "sm",
  layout: { blockBytes: 16_384, integrity: "tree" },
  names: "encrypted",
  allowOther: true,
  hasOwner: true,
  controlSocket: "/srv/volume/volume.control",
  hideLocked: false,
};
const refused = { code: "VOLUME_PARAMETER_INVALID" };

/** Reads bytes as the server reads its standard input. */
function readBack(bytes: Buffer): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-handover-"));
  try {
    writeFileSync(join(folder, "input"), bytes);
    const descriptor = openSync(join(folder, "input"), "r");
    try {
      return readHandover(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a hand-over comes back as it was given, and its bytes are wiped", () => {
  using key = SecretBuffer.copyOf(Buffer.alloc(32, 7));
  const message = readBack(encodeHandover(handover, key));
  const read = decodeHandover(message);
  using tableKey = read.tableKey;
  assert.deepEqual(read.handover, handover);
  assert.ok(tableKey.expose((bytes) => Buffer.alloc(32, 7).equals(bytes)));
  assert.ok(message.every((byte) => byte === 0));
});

test("a hand-over that is cut anywhere before its key, is no JSON or has too long a key is refused, and wiped", () => {
  using key = SecretBuffer.copyOf(Buffer.alloc(32, 7));
  const whole = encodeHandover(handover, key);
  const changed = Buffer.from(whole);
  changed[5] = 0xff;
  const cuts = Array.from({ length: whole.length - 32 + 1 }, (_, length) => Buffer.from(whole.subarray(0, length)));
  for (const message of [...cuts, changed, Buffer.concat([whole, Buffer.alloc(40)]), Buffer.alloc(4, 0xff)]) {
    assert.throws(() => decodeHandover(message), refused);
    assert.ok(message.every((byte) => byte === 0));
  }
});

test("more than any hand-over holds is refused", () => {
  assert.throws(() => readBack(Buffer.alloc(200_000)), refused);
});
