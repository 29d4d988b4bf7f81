import assert from "node:assert/strict";
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { deviceErrors, deviceFaultKinds } from "../../../../src/devices/errors.ts";
import { DeviceFault, deviceErrorOf } from "../../../../src/devices/native/fault.ts";
import { defaultPoolSettings, type PoolSettings, poolSettings } from "../../../../src/devices/native/pool-settings.ts";
import { readSecretSource } from "../../../../src/devices/native/secret-source.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-pin-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const unsafe = { code: "DEVICE_PIN_UNSAFE" };

for (const name of Object.keys(defaultPoolSettings) as (keyof PoolSettings)[])
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e12, "4" as unknown as number])
    test(`${name} = ${value} is refused by name`, () => {
      assert.throws(
        () => poolSettings({ [name]: value }),
        (error: unknown) => {
          assert(error instanceof RangeError);
          return error.message.includes(name);
        },
      );
    });

test("fewest sessions above the most are refused; left out settings have their defaults", () => {
  assert.throws(() => poolSettings({ minSessions: 5 }), RangeError);
  assert.deepEqual(poolSettings({}), defaultPoolSettings);
});

test("a PIN file that others may read, or that is empty, too long, a folder or not there is refused", () => {
  for (const mode of [0o644, 0o640, 0o604, 0o700])
    assert.throws(() => readSecretSource({ file: file(`mode-${mode}`, "12345678", mode) }), unsafe);
  assert.throws(() => readSecretSource({ file: file("empty", "") }), unsafe);
  assert.throws(() => readSecretSource({ file: file("newline", "\n") }), unsafe);
  assert.throws(() => readSecretSource({ file: file("long", Buffer.alloc(4_097, 49)) }), unsafe);
  assert.throws(() => readSecretSource({ file: folder }), unsafe);
  assert.throws(() => readSecretSource({ file: join(folder, "none") }), unsafe);
});

test("a descriptor that is not open is refused", () => {
  assert.throws(() => readSecretSource({ descriptor: 9_999 }), unsafe);
});

test("a credential outside its folder, or without one, is refused", () => {
  const given = process.env.CREDENTIALS_DIRECTORY;
  try {
    delete process.env.CREDENTIALS_DIRECTORY;
    assert.throws(() => readSecretSource({ credential: "card" }), unsafe);
    process.env.CREDENTIALS_DIRECTORY = join(folder, "below");
    file("card", "12345678", 0o400);
    for (const credential of ["../card", "..", ".", "", "a/b", "a\0b"])
      assert.throws(() => readSecretSource({ credential }), unsafe);
    process.env.CREDENTIALS_DIRECTORY = folder;
    using pin = readSecretSource({ credential: "card" });
    assert.equal(pin.byteLength, 8);
  } finally {
    if (given === undefined) delete process.env.CREDENTIALS_DIRECTORY;
    else process.env.CREDENTIALS_DIRECTORY = given;
  }
});

test("a PIN comes from a file or a descriptor without the newline at its end, and from memory as a copy", () => {
  const path = file("pin", "1234 5678\n", 0o400);
  const descriptor = openSync(path, "r");
  using given = SecretBuffer.take(Buffer.from("1234 5678"));
  for (const source of [{ file: path }, { descriptor }, { secret: given }]) {
    using pin = readSecretSource(source);
    assert.equal(pin.equals(Buffer.from("1234 5678")), true);
  }
  closeSync(descriptor);
  assert.equal(given.disposed, false);
});

test("each kind of fault has one code of its own, and the library's code is in the message", () => {
  const codes = deviceFaultKinds.map((kind) => {
    const error = deviceErrorOf(new DeviceFault({ kind, code: "CKR_SOMETHING", message: "it failed" }));
    assert.equal(error.message, "it failed (CKR_SOMETHING)");
    assert.equal(error.failure?.kind, kind);
    assert(error.code in deviceErrors);
    return error.code;
  });
  assert.equal(new Set(codes).size, deviceFaultKinds.length);
});
