import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { NativeDevice } from "../../../../src/devices/native/native-device.ts";
import { FaultyModule, noFaultyModule } from "./faulty-module.ts";
import { noToken, type OpenChoices, SoftToken, softHsmLibrary } from "./soft-token.ts";

const skip = noFaultyModule;

describe("opening a PKCS#11 token", { skip: noToken }, () => {
  const token = noToken === false ? new SoftToken() : undefined;
  after(() => token?.[Symbol.dispose]());

  const refusal = async (choices: OpenChoices): Promise<Error & { code?: string }> => {
    assert.ok(token);
    try {
      await using device = await token.open(choices);
      assert.fail(`opened ${device.info.token}`);
    } catch (error) {
      assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error));
      return error;
    }
  };
  const file = (name: string, content: Uint8Array | string): string => {
    const path = join(token?.folder ?? "", name);
    writeFileSync(path, content);
    return path;
  };
  const refusedLibrary = (library: string) => refusal({ settings: { library } });

  it("names a module that is not there", async () => {
    const error = await refusedLibrary("/nonexistent/libcryptoki.so");
    assert.equal(error.code, "DEVICE_KEY_NOT_FOUND");
    assert.match(error.message, /module \/nonexistent\/libcryptoki\.so cannot be read: ENOENT.*LIBRARY_MISSING/);
  });

  it("loads a module of the pinned hash only", async () => {
    const [right, other] = [createHash("sha256").update(readFileSync(softHsmLibrary)).digest("hex"), "0".repeat(64)];
    await using device = await token?.open({ settings: { librarySha256: right } });
    assert.equal(device?.info.token, token?.label);
    const error = await refusal({ settings: { librarySha256: other } });
    assert.match(error.message, /another SHA-256 than is pinned.*LIBRARY_CHANGED/);
  });

  it("refuses a file that is no library, a folder, and a library for another processor", async () => {
    assert.match((await refusedLibrary(file("text.so", "not a library"))).message, /is not a shared library/);
    assert.match((await refusedLibrary(token?.folder ?? "")).message, /is a folder/);
    const header = Buffer.alloc(64);
    header.write("\x7fELF\x02\x01\x01", "latin1");
    header.writeUInt16LE(3, 16);
    header.writeUInt16LE(process.arch === "arm64" ? 62 : 183, 18);
    const error = await refusedLibrary(file("other.so", header));
    assert.equal(error.code, "DEVICE_UNSUPPORTED");
    assert.match(error.message, /is for (arm64|x64), this program runs on 64-bit.*LIBRARY_ARCHITECTURE/);
  });

  it("refuses a library of this processor that is cut short, and one that is not a PKCS#11 module", async () => {
    const header = Buffer.alloc(64);
    header.write("\x7fELF\x02\x01\x01", "latin1");
    header.writeUInt16LE(3, 16);
    header.writeUInt16LE(process.arch === "arm64" ? 183 : 62, 18);
    assert.match((await refusedLibrary(file("cut.so", header))).message, /LIBRARY_NOT_LOADED/);
    const other = process.report.getReport();
    const libraries = "sharedObjects" in other ? (other.sharedObjects as string[]) : [];
    const libm = libraries.find((path) => /libm\.so/.test(path));
    if (libm !== undefined) assert.match((await refusedLibrary(libm)).message, /LIBRARY_NOT_LOADED/);
  });

  it("refuses a configuration that is not valid before any process starts", async () => {
    for (const settings of [{ library: "relative.so" }, { wrap: "aes-ecb" }, { slot: -1 }, { pin: "1234" }])
      await assert.rejects(async () => token?.open({ settings: settings as never }), { name: "ZodError" });
  });

  it("names the tokens that are there when the one that is meant is not", async () => {
    const error = await refusal({ settings: { tokenLabel: "node-9" } });
    assert.equal(error.code, "DEVICE_UNREACHABLE");
    assert.match(error.message, /no initialized token labelled "node-9"\. It has "node-1" \(serial .*TOKEN_NOT_FOUND/);
    assert.match((await refusal({ settings: { slot: 1 } })).message, /TOKEN_NOT_FOUND/);
    assert.match((await refusal({ settings: { tokenSerial: "0000" } })).message, /TOKEN_NOT_FOUND/);
  });

  it("asks which token is meant where there are several of one label", async () => {
    using twins = new SoftToken();
    twins.addToken("node-1");
    await assert.rejects(twins.open(), { code: "DEVICE_INPUT_REFUSED", message: /several tokens.*TOKEN_AMBIGUOUS/ });
  });

  it("tells what the token is, and what it does", async () => {
    assert.ok(token);
    await using device = await token.open();
    const { info } = device;
    assert.equal(info.token, "node-1");
    assert.equal(info.library, softHsmLibrary);
    assert.equal(info.wrap, "aes-gcm");
    assert.equal(info.knownAnswers, true);
    assert.deepEqual(device.capabilities().specs, [
      "ECC_NIST_P256",
      "ECC_NIST_P384",
      "ECC_NIST_P521",
      "ECC_SECG_P256K1",
      "HMAC_224",
      "HMAC_256",
      "HMAC_384",
      "HMAC_512",
    ]);
    assert.match(String(info.curves), /ED25519/);
    assert.ok(!JSON.stringify(info).includes(token.pin));
  });

  it("refuses a PIN file that others can read", async () => {
    assert.ok(token);
    const path = file("pin", token.pin);
    chmodSync(path, 0o644);
    await assert.rejects(NativeDevice.open({ ...token.options(), pin: { file: path } }), { code: "DEVICE_PIN_UNSAFE" });
    chmodSync(path, 0o600);
    await using device = await NativeDevice.open({ ...token.options(), pin: { file: path } });
    assert.equal(device.health().state, "ready");
  });
});

describe("logging in to a PKCS#11 token", { skip }, () => {
  const token = skip === false ? new SoftToken() : undefined;
  after(() => token?.[Symbol.dispose]());

  const attempt = async (
    fault: string,
    choices: OpenChoices = {},
  ): Promise<{ readonly code: string; readonly message: string; readonly logins: number }> => {
    assert.ok(token);
    const module = new FaultyModule(token.folder);
    module.set(fault);
    try {
      await using device = await token.open(module.choices(choices));
      return { code: "opened", message: device.info.wrap?.toString() ?? "", logins: module.logins };
    } catch (error) {
      assert.ok(error instanceof Error && "code" in error);
      return { code: String(error.code), message: error.message, logins: module.logins };
    }
  };

  it("sends a wrong PIN once, and never again", async () => {
    assert.ok(token);
    const { code, message, logins } = await attempt("none", { pin: "00001111" });
    assert.equal(code, "DEVICE_PIN_REFUSED");
    assert.match(message, /CKR_PIN_INCORRECT/);
    assert.doesNotMatch(message, /00001111/);
    assert.equal(logins, 1);
  });

  it("sends no PIN at all to a token that has locked its PIN, has none set, or would lock it at the next mistake", async () => {
    for (const [fault, code] of [
      ["pin-locked", "DEVICE_PIN_LOCKED"],
      ["no-pin-set", "DEVICE_PIN_REFUSED"],
      ["final-try", "DEVICE_PIN_REFUSED"],
    ] as const) {
      const answer = await attempt(fault);
      assert.equal(answer.code, code, answer.message);
      assert.equal(answer.logins, 0, fault);
    }
  });

  it("uses the last try where it is told to", async () => {
    assert.deepEqual(await attempt("final-try", { settings: { useFinalTry: true } }), {
      code: "opened",
      message: "aes-gcm",
      logins: 1,
    });
  });

  it("says that a token locks its PIN just now", async () => {
    const { code, logins } = await attempt("login-locks");
    assert.equal(code, "DEVICE_PIN_LOCKED");
    assert.equal(logins, 1);
  });

  it("asks for a PIN where the token wants one and none was given", async () => {
    assert.ok(token);
    const { pin: _pin, ...options } = token.options();
    await assert.rejects(NativeDevice.open(options), { code: "DEVICE_PIN_REFUSED", message: /wants a PIN/ });
  });

  it("logs in once for all sessions", async () => {
    const { code, logins } = await attempt("none", { pool: { minSessions: 4, maxSessions: 4 } });
    assert.deepEqual({ code, logins }, { code: "opened", logins: 1 });
  });

  it("wraps by AES key wrap where the token's GCM answers wrongly, and not at all by a wrap that is unproven", async () => {
    assert.equal((await attempt("wrong-gcm")).message, "aes-kw");
    const { code, message } = await attempt("wrong-gcm", { settings: { wrap: "aes-gcm" } });
    assert.equal(code, "DEVICE_UNSUPPORTED");
    assert.match(message, /WRAP_UNPROVEN/);
  });

  it("opens a token that takes no keys from outside, on round trips alone", async () => {
    assert.ok(token);
    const module = new FaultyModule(token.folder);
    module.set("no-import");
    await using device = await token.open(module.choices());
    assert.equal(device.info.knownAnswers, false);
    assert.equal(device.info.wrap, "aes-gcm");
  });

  it("offers no curve whose signatures do not verify", async () => {
    assert.ok(token);
    const module = new FaultyModule(token.folder);
    module.set("wrong-signature");
    await using device = await token.open(module.choices());
    assert.deepEqual(device.capabilities().specs, []);
  });

  it("keeps the PIN out of arguments, environment, events and messages", async () => {
    assert.ok(token);
    const { readFileSync } = await import("node:fs");
    const told: string[] = [];
    let pid = 0;
    const module = new FaultyModule(token.folder);
    await using device = await token.open(
      module.choices({
        tell: (event) => {
          told.push(JSON.stringify(event));
          if (event.event === "process-started") pid = event.pid;
        },
      }),
    );
    module.set("vendor-code");
    const key = { keyId: "00112233-4455-6677-8899-aabbccddeeff", version: 1, suite: "intl" } as const;
    const material = await device.createKey(key);
    await assert.rejects(device.boxSecretToSeal({ ...key, material }, {}), (error: Error) => {
      told.push(error.message, error.stack ?? "");
      return /CKR_0x80000123/.test(error.message);
    });
    told.push(
      readFileSync(`/proc/${pid}/cmdline`, "utf8"),
      readFileSync(`/proc/${pid}/environ`, "latin1"),
      JSON.stringify(device.info),
      JSON.stringify(await device.health()),
    );
    for (const text of told) assert.ok(!text.includes(token.pin), text.slice(0, 200));
  });

  it("keeps no copy of the PIN that the caller gave", async () => {
    assert.ok(token);
    using given = SecretBuffer.take(Buffer.from(token.pin));
    await using device = await NativeDevice.open({ ...token.options(), pin: { secret: given } });
    assert.equal(given.disposed, false);
    assert.equal(device.health().state, "ready");
  });
});
