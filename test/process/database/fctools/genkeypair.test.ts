import assert from "node:assert/strict";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openPrivateKey } from "../../../../src/database/gm/private-key.ts";
import { parsePublicKey } from "../../../../src/database/gm/public-key.ts";
import { nobody, otherUserUnavailable } from "../../other-user.ts";
import { type Outcome, runOnTerminal } from "../../program-on-terminal.ts";
import { fctools, fileOf, folder, run } from "./programs.ts";

const pincode = "a pincode 海东青";
const asInTheManual =
  /^public key: {3}(?<publicKey>04[0-9a-f]{128})\nprivate key: {2}(?<privateKey>\S+)\nnote: private key is encrypted by pincode\n$/;

/** That the printed private key opens with this pincode, and that of the public key. */
async function mustOpen(publicKey: string | undefined, privateKey: string | undefined, with_ = pincode): Promise<void> {
  using secret = SecretBuffer.take(Buffer.from(with_));
  const key = { text: privateKey ?? "", publicKey: parsePublicKey(publicKey ?? "", "public key"), pincode: secret };
  (await openPrivateKey(key))[Symbol.dispose]();
}

/** One line that says what, in at most one more what to do, and nothing on standard output. */
function isUsageFailure({ code, stdout, stderr }: Outcome, message: RegExp): void {
  assert.equal(code, 2, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^fctools: error: .+\n(?:fctools: hint: .+\n)?$/);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /pincode 海/);
}

describe("fctools gm genkeypair", () => {
  it("asks twice on the terminal, shows nothing of what is typed, and prints what the manual prints", async () => {
    const { code, stdout } = await runOnTerminal(fctools, ["gm", "genkeypair"], [`${pincode}\r`, `${pincode}\r`]);
    assert.equal(code, 0, stdout);
    const lines = stdout.replaceAll("\r\n", "\n");
    assert.match(lines, /^pincode: \nconfirm: \npublic key: {3}04/);
    const { publicKey, privateKey } = asInTheManual.exec(lines.slice(lines.indexOf("public key")))?.groups ?? {};
    assert.match(privateKey ?? "", /^[0-9a-f]{64}$/);
    await mustOpen(publicKey, privateKey);
    assert.equal(stdout.includes("海东青"), false);
  });

  it("makes no key when the two pincodes differ, and takes a corrected one", async () => {
    const differ = await runOnTerminal(fctools, ["gm", "genkeypair"], ["one\r", "two\r"]);
    assert.equal(differ.code, 2);
    assert.match(differ.stdout, /fctools: error: the two pincodes differ/);
    const corrected = await runOnTerminal(fctools, ["gm", "genkeypair", "--json"], ["on\x7fne\r", "one\r"]);
    assert.equal(corrected.code, 0, corrected.stdout);
    const { publicKey, privateKey } = JSON.parse(corrected.stdout.slice(corrected.stdout.indexOf("{")));
    await mustOpen(publicKey, privateKey, "one");
  });

  it("makes no key when the question is left with Ctrl-C, Ctrl-D or an empty pincode", async () => {
    for (const [answer, message] of [
      ["\x03", /interrupted/],
      ["some\x04", /gave no answer/],
      ["\r", /an empty pincode is refused/],
    ] as const) {
      const { code, stdout } = await runOnTerminal(fctools, ["gm", "genkeypair"], [answer, "\r"]);
      assert.equal(code, 2);
      assert.match(stdout, message);
      assert.doesNotMatch(stdout, /public key/);
    }
  });

  it("takes the pincode of a file, without its line end, and prints to standard output alone", async () => {
    const { code, stdout, stderr } = await run(fctools, ["gm", "genkeypair", "--pincode-file", fileOf(`${pincode}\n`)]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    const { publicKey, privateKey } = asInTheManual.exec(stdout)?.groups ?? {};
    await mustOpen(publicKey, privateKey);
  });

  it("takes the pincode of a descriptor, and makes a container that opens with it", async () => {
    const args = ["gm", "genkeypair", "--pincode-fd", "3", "--format", "v2", "--json"];
    const { code, stdout, stderr } = await run(fctools, args, { onDescriptor3: pincode });
    assert.equal(code, 0, stderr);
    const made = JSON.parse(stdout);
    assert.deepEqual(Object.keys(made), ["publicKey", "privateKey"]);
    assert.match(made.privateKey, /^strongroom-gm-v2\.[\w-]{130}$/);
    await mustOpen(made.publicKey, made.privateKey);
  });

  it("makes another key each time", async () => {
    const file = fileOf(pincode);
    const [one, other] = await Promise.all(
      [1, 2].map(async () => (await run(fctools, ["gm", "genkeypair", "--pincode-file", file])).stdout),
    );
    assert.match(one ?? "", asInTheManual);
    assert.notEqual(one, other);
  });

  it("warns of a short pincode", async () => {
    const { code, stderr } = await run(fctools, ["gm", "genkeypair", "--pincode-file", fileOf("12345678")]);
    assert.equal(code, 0);
    assert.match(stderr, /^fctools: warning: the pincode is short/);
    assert.doesNotMatch(stderr, /1234/);
  });

  it("takes no pincode of the environment, of standard input, or where there is no terminal", async () => {
    const environment = { FCTSDB_PINCODE: pincode };
    const outcome = await run(fctools, ["gm", "genkeypair"], { environment, input: `${pincode}\n${pincode}\n` });
    isUsageFailure(outcome, /there is no terminal .*\n.*--pincode-file/);
  });

  const others = fileOf(pincode, 0o644);
  const linked = join(folder, "link-to-a-folder");
  mkdirSync(join(folder, "a-folder"));
  symlinkSync(join(folder, "a-folder"), linked);
  for (const [what, args, message] of [
    ["a pincode file that others may read", ["--pincode-file", others], /has mode 0644, others may read it/],
    ["a pincode file that is not there", ["--pincode-file", join(folder, "none")], /cannot be read: ENOENT/],
    ["a folder as a pincode file", ["--pincode-file", linked], /is not a regular file/],
    ["an empty pincode file", ["--pincode-file", fileOf("")], /an empty pincode is refused/],
    ["a pincode file of one line end", ["--pincode-file", fileOf("\n")], /an empty pincode is refused/],
    ["a pincode file that is too long", ["--pincode-file", fileOf("x".repeat(4097))], /more than 4096 bytes/],
    ["two sources of the pincode", ["--pincode-file", others, "--pincode-fd", "3"], /not both/],
    ["a descriptor that is none", ["--pincode-fd", "three"], /takes the number of a file descriptor/],
    ["a descriptor that is not open", ["--pincode-fd", "99"], /cannot be read: EBADF/],
    ["another format", ["--pincode-file", others, "--format", "v3"], /--format takes v1 or v2/],
    ["an unknown option", ["--pincode", pincode], /Unknown option '--pincode'/],
    ["an argument", ["key.pem"], /Unexpected argument/],
  ] as const)
    it(`refuses ${what}, and makes no key`, async () => {
      isUsageFailure(await run(fctools, ["gm", "genkeypair", ...args]), message);
    });

  it("works for a user who is not root", { skip: otherUserUnavailable }, async () => {
    chmodSync(folder, 0o755);
    const args = ["--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", fctools, "gm", "genkeypair"];
    const { code, stdout } = await runOnTerminal("setpriv", args, [`${pincode}\r`, `${pincode}\r`]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /private key: {2}[0-9a-f]{64}/);
  });
});

describe("fctools", () => {
  it("shows its help, and each command's", async () => {
    for (const [args, text] of [
      [["--help"], /Usage: fctools COMMAND/],
      [["gm", "--help"], /Usage: fctools COMMAND/],
      [["gm", "genkeypair", "-h"], /Usage: fctools gm genkeypair/],
      [["envelop", "--help"], /Usage: fctools envelop --pubkey/],
    ] as const) {
      const { code, stdout, stderr } = await run(fctools, args);
      assert.equal(code, 0);
      assert.match(stdout, text);
      assert.equal(stderr, "");
    }
  });

  it("refuses what it does not know", async () => {
    isUsageFailure(await run(fctools, []), /takes a command/);
    isUsageFailure(await run(fctools, ["gm"]), /knows the commands/);
    isUsageFailure(await run(fctools, ["gm", "sign"]), /knows the commands/);
    isUsageFailure(await run(fctools, ["envelope"]), /knows the commands/);
  });
});
