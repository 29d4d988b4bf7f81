import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, suite, test } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { keyPurposes } from "../../../../src/enclave/evidence/certificates.ts";
import {
  type AttestationRoot,
  createAttestationRoot,
  openAttestationRoot,
} from "../../../../src/enclave/tee/attestation-root.ts";
import { openGramineBackend } from "../../../../src/enclave/tee/gramine/backend.ts";
import { type EnclaveCode, measureCode, ownCode } from "../../../../src/enclave/tee/measure-code.ts";
import { openTeeBackend } from "../../../../src/enclave/tee/open-backend.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform, platformFiles } from "../../../../src/enclave/tee/process/platform.ts";

let scratch: string;
let folder: string;
let folders = 0;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "tee-unit-"));
});
beforeEach(async () => {
  folders += 1;
  folder = join(scratch, String(folders));
  await mkdir(folder);
});
after(async () => await rm(scratch, { recursive: true, force: true }));

const settingsInvalid = (message: RegExp) => ({ code: "SETTINGS_INVALID", message });

suite("the measurement of code", () => {
  async function codeIn(base: string, files: Record<string, string>): Promise<EnclaveCode> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(base, name, ".."), { recursive: true });
      await writeFile(join(base, name), text);
    }
    await writeFile(join(base, "node"), "program");
    return { base, parts: ["src", "package.json"], program: join(base, "node"), role: "chaincode" };
  }
  const files = { "src/a.ts": "one", "src/b/c.js": "two", "package.json": "{}" };

  test("is the same for the same files, wherever they are, and in whatever order they were written", async () => {
    const first = await measureCode(await codeIn(join(folder, "x"), files));
    const second = await measureCode(
      await codeIn(join(folder, "y"), Object.fromEntries(Object.entries(files).reverse())),
    );
    assert.match(first, /^[0-9A-F]{64}$/);
    assert.equal(first, second);
  });

  test("changes with each byte, name, file, the program and the role, and with nothing else", async () => {
    const code = await codeIn(folder, files);
    const seen = [await measureCode(code)];
    const differs = async (changed: EnclaveCode = code) => {
      const measurement = await measureCode(changed);
      assert.equal(seen.includes(measurement), false);
      seen.push(measurement);
    };
    await writeFile(join(folder, "src/notes.md"), "no code");
    assert.equal(await measureCode(code), seen[0]);
    await writeFile(join(folder, "src/a.ts"), "One");
    await differs();
    await rename(join(folder, "src/a.ts"), join(folder, "src/d.ts"));
    await differs();
    await writeFile(join(folder, "src/e.ts"), "");
    await differs();
    await writeFile(join(folder, "package.json"), "{ }");
    await differs();
    await differs({ ...code, role: "ledger" });
    await writeFile(join(folder, "node"), "another program");
    await differs();
  });

  test("two files can't be cut in another way to the same measurement", async () => {
    const one = await measureCode(await codeIn(join(folder, "x"), { "src/a.ts": "bc", "package.json": "" }));
    const two = await measureCode(
      await codeIn(join(folder, "y"), { "src/a.ts": "b", "src/c.ts": "", "package.json": "" }),
    );
    assert.notEqual(one, two);
  });

  test("keeps the program's hash, and finds a program that was changed", async () => {
    const code = await codeIn(folder, files);
    // File systems tell times a few milliseconds apart: what is written within them has the same.
    await utimes(join(folder, "node"), 1, 1);
    const cache = join(folder, "cache");
    await mkdir(cache);
    const first = await measureCode(code, cache);
    assert.equal((await readdir(cache)).length, 1);
    assert.equal(await measureCode(code, cache), first);
    await writeFile(join(folder, "node"), "PROGRAM");
    const second = await measureCode(code, cache);
    assert.notEqual(second, first);
    // At another place it is not known, and is hashed.
    await writeFile(join(folder, "copy"), "PROGRAM");
    assert.equal(await measureCode({ ...code, program: join(folder, "copy") }), second);
    assert.equal(await measureCode(code), second);
  });

  test("fails where a part is missing", async () => {
    const code = await codeIn(folder, files);
    await assert.rejects(measureCode({ ...code, parts: ["nothing"] }), settingsInvalid(/cannot be read/));
    await assert.rejects(measureCode({ ...code, program: join(folder, "nothing") }), settingsInvalid(/cannot be read/));
  });

  test("of this installation covers what an enclave may import", () => {
    const { parts, program } = ownCode();
    assert.deepEqual(parts, ["src/enclave", "src/crypto", "src/client", "src/files", "package.json"]);
    assert.equal(program, process.execPath);
  });
});

suite("attestation roots and simulated platforms", () => {
  let root: AttestationRoot;
  let platform: string;
  let code: EnclaveCode;

  beforeEach(async () => {
    root = await createAttestationRoot(join(folder, "root"), "Org1");
    platform = join(folder, "platform");
    await createProcessPlatform(platform, root, "host 1");
    await writeFile(join(folder, "a.ts"), "");
    code = { base: folder, parts: ["a.ts"], program: "/bin/sh", role: "chaincode" };
  });

  test("secrets are files of mode 0600, and there is one of each", async () => {
    const files = platformFiles(platform);
    for (const file of [files.secret, files.quotingKey, join(folder, "root", "root-key.pem")])
      assert.equal((await stat(file)).mode & 0o777, 0o600, file);
    assert.equal((await stat(platform)).mode & 0o777, 0o700);
    await assert.rejects(createAttestationRoot(join(folder, "root"), "Org1"), { code: "CONFLICT" });
    await assert.rejects(createProcessPlatform(platform, root, "host 1"), { code: "CONFLICT" });
  });

  test("a root is opened as it was made, and certifies for one use", async () => {
    const opened = await openAttestationRoot(join(folder, "root"));
    assert.equal(opened.pem, root.pem);
    const certificate = new X509Certificate(await readFile(platformFiles(platform).certificate));
    assert.ok(certificate.verify(new X509Certificate(opened.pem).publicKey));
    assert.deepEqual(certificate.keyUsage, [keyPurposes.simulated]);
    assert.equal(certificate.ca, false);
  });

  test("a root whose key is another's, or may be read by others, is refused", async () => {
    const other = await createAttestationRoot(join(folder, "other"), "Org2");
    await writeFile(join(folder, "root", "root.pem"), other.pem);
    await assert.rejects(openAttestationRoot(join(folder, "root")), settingsInvalid(/do not belong together/));
    await chmod(join(folder, "other", "root-key.pem"), 0o644);
    await assert.rejects(openAttestationRoot(join(folder, "other")), settingsInvalid(/others may read it.*chmod 600/));
    await assert.rejects(openAttestationRoot(join(folder, "nothing")), settingsInvalid(/cannot be read/));
  });

  test("a platform whose secret may be read by others, is cut, or is missing is refused", async () => {
    const { secret, quotingKey, certificate } = platformFiles(platform);
    const open = async () => await openProcessBackend({ platform, code });
    await chmod(secret, 0o640);
    await assert.rejects(open(), settingsInvalid(/others may read it/));
    await chmod(secret, 0o600);
    await writeFile(secret, "c2hvcnQ=");
    await assert.rejects(open(), settingsInvalid(/not a platform secret/));
    await writeFile(secret, "not base64 at all");
    await assert.rejects(open(), settingsInvalid(/not a platform secret/));
    await rm(secret);
    await assert.rejects(open(), settingsInvalid(/cannot be read/));
    const other = join(folder, "second");
    await createProcessPlatform(other, root, "host 2");
    await writeFile(platformFiles(other).quotingKey, "no key");
    await assert.rejects(openProcessBackend({ platform: other, code }), settingsInvalid(/not a private key/));
    const third = join(folder, "third");
    await createProcessPlatform(third, root, "host 3");
    await rm(platformFiles(third).certificate);
    await assert.rejects(openProcessBackend({ platform: third, code }), settingsInvalid(/cannot be read/));
    assert.ok(quotingKey.startsWith(platform) && certificate.startsWith(platform));
  });

  test("an enclave of another role does not open a blob", async () => {
    await using chaincode = await openTeeBackend({ kind: "process", platform }, "chaincode");
    await using ledger = await openTeeBackend({ kind: "process", platform }, "ledger");
    assert.notEqual(await chaincode.measure(), await ledger.measure());
    using secret = SecretBuffer.random(32);
    const sealed = await chaincode.seal(secret, Buffer.alloc(0));
    await assert.rejects(ledger.unseal(sealed, Buffer.alloc(0)), { code: "UNSEAL_FAILED" });
  });

  test("a blob of another version of the form is refused", async () => {
    await using backend = await openProcessBackend({ platform, code });
    using secret = SecretBuffer.random(32);
    const sealed = await backend.seal(secret, Buffer.alloc(0));
    sealed[0] = 2;
    await assert.rejects(backend.unseal(sealed, Buffer.alloc(0)), { code: "UNSEAL_FAILED" });
  });
});

suite("Gramine's folder", () => {
  async function folderWith(changes: Record<string, Buffer | undefined> = {}): Promise<string> {
    const files: Record<string, Buffer | undefined> = {
      attestation_type: Buffer.from("dcap\n"),
      my_target_info: Buffer.alloc(512, 0xe1),
      user_report_data: Buffer.alloc(64),
      quote: Buffer.alloc(1000),
      "keys/_sgx_mrenclave": Buffer.alloc(16, 1),
      ...changes,
    };
    await mkdir(join(folder, "keys"), { recursive: true });
    for (const [name, bytes] of Object.entries(files))
      if (bytes !== undefined) await writeFile(join(folder, name), bytes);
    return folder;
  }

  test("that is none, of another kind of attestation, or not of its form is refused", async () => {
    await assert.rejects(openGramineBackend({ folder: join(folder, "none") }), settingsInvalid(/no Gramine/));
    const cases: readonly (readonly [Record<string, Buffer>, RegExp])[] = [
      [{ attestation_type: Buffer.from("epid") }, /no attestation by DCAP/],
      [{ attestation_type: Buffer.from("dcap"), my_target_info: Buffer.alloc(100) }, /my_target_info/],
      [{ my_target_info: Buffer.alloc(512), "keys/_sgx_mrenclave": Buffer.alloc(15) }, /_sgx_mrenclave/],
    ];
    for (const [changes, reason] of cases)
      await assert.rejects(openGramineBackend({ folder: await folderWith(changes) }), settingsInvalid(reason));
  });

  test("that gives no quote, or one about something else, gives no attestation", async () => {
    await using backend = await openGramineBackend({ folder: await folderWith() });
    await assert.rejects(backend.quote(Buffer.from("x")), settingsInvalid(/quote is not of the form/));
    await rm(join(folder, "quote"));
    await assert.rejects(backend.quote(Buffer.from("x")), settingsInvalid(/quote cannot be read/));
    await rm(join(folder, "user_report_data"));
    await assert.rejects(backend.quote(Buffer.from("x")), settingsInvalid(/user_report_data cannot be written/));
  });
});
