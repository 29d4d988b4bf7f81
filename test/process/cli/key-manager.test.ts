import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import {
  type RunningProgram,
  runProgram,
  secretFile,
  startKeyManager,
  stateHome,
  temporaryFolder,
} from "../../fisco-stand-in/processes.ts";
import { fiscoCall } from "../../fisco-stand-in/raw-exchange.ts";
import { reservePort } from "../../reserved-ports.ts";
import { scaled } from "../../run-settings.ts";

const golden = { standard: "ed157f4588b86d61a2e1745efe71e6ea", sm: "b287d5c483e99ed63ebd361c22a8d7b2" };
const running: RunningProgram[] = [];

afterEach(async () => {
  for (const program of running.splice(0)) await program.stop();
});

async function keyManager(...args: readonly string[]): Promise<RunningProgram> {
  const program = await startKeyManager(args);
  running.push(program);
  return program;
}

describe("key-manager as the document starts it", () => {
  it("takes PORT and SUPERKEY, prints the line the manual names, and gives the published values", async () => {
    const km = await keyManager("123xyz");
    assert.match(
      km.output(),
      new RegExp(`^\\[[0-9]{13}\\]\\[TRACE\\]\\[Load\\]key-manager started,port=${km.port}$`, "m"),
    );
    assert.match(km.output(), /warning: the super key was on the command line/);
    assert.equal((await fiscoCall(km.port, "encDataKey", "123456")).dataKey, golden.standard);
    assert.equal((await fiscoCall(km.port, "decDataKey", golden.standard)).dataKey, "313233343536");
    assert.equal(existsSync(join(stateHome, "strongroom/key-manager/custody/store.sqlite")), true);
  });

  it("gives the SM values with -g", async () => {
    const km = await keyManager("-g", "123xyz", "--data", temporaryFolder());
    assert.equal((await fiscoCall(km.port, "encDataKey", "123456")).dataKey, golden.sm);
    assert.equal((await fiscoCall(km.port, "decDataKey", golden.sm)).dataKey, "313233343536");
  });

  it("takes the super key off its own command line", async () => {
    const km = await keyManager("a-super-key-to-look-for", "--data", temporaryFolder());
    const commandLine = readFileSync(`/proc/${km.pid}/cmdline`, "latin1");
    assert.doesNotMatch(commandLine, /look-for/);
    assert.match(commandLine, /^key-manager/);
  });

  it("keeps the registry over a restart, for each super key apart, and stores no secret", async () => {
    const folder = temporaryFolder();
    const data = join(folder, "data");
    const superKeyFile = secretFile(folder, "super.key", "planted-super-key\n");
    const first = await startKeyManager(["--super-key-file", superKeyFile, "--data", data]);
    assert.doesNotMatch(first.output(), /warning/);
    const { dataKey } = await fiscoCall(first.port, "encDataKey", "planted-data-key");
    assert.equal(await first.stop(), 0);

    const again = await keyManager("--super-key-file", superKeyFile, "--data", data);
    const opened = await fiscoCall(again.port, "decDataKey", dataKey);
    assert.equal(Buffer.from(opened.dataKey, "hex").toString(), "planted-data-key");
    await again.stop();
    running.length = 0;

    const other = await keyManager("another", "--data", data);
    assert.equal((await fiscoCall(other.port, "decDataKey", dataKey)).error, 1);
    for (const name of readdirSync(data, { recursive: true, encoding: "utf8" })) {
      if (!statSync(join(data, name)).isFile()) continue;
      assert.equal(/planted/.test(readFileSync(join(data, name), "latin1")), false, name);
    }
    assert.doesNotMatch(first.output() + again.output() + other.output(), /planted|another/);
  });

  it("opens a cipherDataKey made elsewhere once it is registered, and no other", async () => {
    const data = temporaryFolder();
    const km = await keyManager("123xyz", "--data", data, "--register", golden.standard);
    assert.equal((await fiscoCall(km.port, "decDataKey", golden.standard)).dataKey, "313233343536");
    assert.equal((await fiscoCall(km.port, "decDataKey", "ece243d9f346ea7b6b6970f934887b2b")).error, 1);
  });

  it("leaves an audit chain that verifies and shows each use and each refusal", async () => {
    const data = temporaryFolder();
    const km = await startKeyManager(["123xyz", "--data", data]);
    await fiscoCall(km.port, "encDataKey", "123456");
    await fiscoCall(km.port, "decDataKey", golden.standard);
    await fiscoCall(km.port, "decDataKey", "00".repeat(16));
    assert.equal(await km.stop(), 0);
    const where = ["--data", join(data, "custody"), "--unlock-file", join(data, "unlock.key")];
    assert.equal((await runProgram("strongroom", ["audit", "verify", ...where])).code, 0);
    const { stdout } = await runProgram("strongroom", ["audit", "export", ...where]);
    const records = stdout
      .trim()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as {
            door: string;
            eventName: string;
            result: string;
            errorCode?: string;
            sourceIPAddress: string;
          },
      )
      .filter(({ door }) => door === "fisco");
    assert.deepEqual(
      records.map((each) => [each.eventName, each.result, each.errorCode, each.sourceIPAddress]),
      [
        ["LegacyEncrypt", "done", undefined, "127.0.0.1"],
        ["LegacyDecrypt", "done", undefined, "127.0.0.1"],
        ["LegacyDecrypt", "refused", "LEGACY_REFUSED", "127.0.0.1"],
      ],
    );
    assert.doesNotMatch(stdout, /123xyz|123456[^0-9]|313233343536/);
  });

  for (const mode of ["standard", "sm"] as const)
    it(`gives nothing away to the attack on the key as IV, ${mode}`, async () => {
      const km = await keyManager(...(mode === "sm" ? ["-g"] : []), "123xyz", "--data", temporaryFolder());
      const made = (await fiscoCall(km.port, "encDataKey", "A".repeat(16))).dataKey;
      const [first, second] = [made.slice(0, 32), made.slice(32)];
      const zeros = "00".repeat(16);
      for (const attack of [
        first + zeros + first + first + second,
        first + zeros + first,
        first,
        second,
        made + made,
      ]) {
        const { dataKey, error } = await fiscoCall(km.port, "decDataKey", attack);
        assert.deepEqual([dataKey, error], ["", 1]);
        assert.equal((await fiscoCall(km.port, "encWithCipherKey", "QQ==", attack)).error, 1);
      }
      const opened = await fiscoCall(km.port, "decDataKey", made);
      assert.equal(Buffer.from(opened.dataKey, "hex").toString(), "A".repeat(16));
    });

  const calls = scaled(800);
  it(`answers 8 callers with ${calls} calls each, all right, with every use on record`, async () => {
    const data = temporaryFolder();
    const km = await keyManager("123xyz", "--data", data);
    const keys = await Promise.all(
      Array.from({ length: 8 }, async (_, caller) => {
        const { dataKey } = await fiscoCall(km.port, "encDataKey", `data key ${caller}`);
        return { dataKey, hex: Buffer.from(`data key ${caller}`).toString("hex") };
      }),
    );
    await Promise.all(
      keys.map(async ({ dataKey, hex }, caller) => {
        for (let index = 0; index < calls; index++) {
          const id = caller * 1000 + index;
          const body = JSON.stringify({ id, jsonrpc: "2.0", method: "decDataKey", params: [dataKey] });
          const answer = await fetch(`http://127.0.0.1:${km.port}/`, { method: "POST", body });
          assert.deepEqual(await answer.json(), {
            id,
            jsonrpc: "2.0",
            result: { dataKey: hex, error: 0, info: "success" },
          });
        }
      }),
    );
  });
});

describe("key-manager with what it cannot do", () => {
  const refused = async (code: number, message: RegExp, ...args: readonly string[]) => {
    const outcome = await runProgram("key-manager", args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, message);
    assert.equal(outcome.stdout, "");
    assert.doesNotMatch(outcome.stderr, /^\s+at /m);
  };

  it("says what is wrong with its arguments, with exit code 2", async () => {
    const port = String(await reservePort());
    const data = temporaryFolder();
    await refused(2, /takes PORT and SUPERKEY/);
    await refused(2, /takes PORT and SUPERKEY/, port, "a", "b");
    await refused(2, /is not a number from 1 to 65535/, "0", "123xyz");
    await refused(2, /is not a number from 1 to 65535/, "65536", "123xyz");
    await refused(2, /either as an argument or in a file/, port);
    await refused(2, /an empty super key is refused/, port, "");
    await refused(2, /--unknown/, port, "123xyz", "--unknown");
    await refused(2, /a cipherDataKey is hex/, port, "123xyz", "--register", "xyz");
    await refused(2, /--allow: "10.0.0.0\/99" is not/, port, "123xyz", "--data", data, "--allow", "10.0.0.0/99");
  });

  it("refuses a super key file that others can read", async () => {
    const folder = temporaryFolder();
    const file = secretFile(folder, "super.key", "123xyz");
    chmodSync(file, 0o644);
    await refused(2, /mode 0644/, String(await reservePort()), "--super-key-file", file, "--data", folder);
  });

  it("says in one line that the port or the data folder is taken, with exit code 1", async () => {
    const data = temporaryFolder();
    const km = await keyManager("123xyz", "--data", data);
    await refused(1, /another program listens there/, String(km.port), "123xyz", "--data", temporaryFolder());
    await refused(1, /another Strongroom process works on/, String(await reservePort()), "123xyz", "--data", data);
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    await refused(1, /cannot be made or written/, String(await reservePort()), "123xyz", "--data", join(file, "data"));
  });

  it("refuses to register what does not decrypt under its super key, with exit code 3", async () => {
    const data = temporaryFolder();
    await refused(3, /./, String(await reservePort()), "wrongSuper", "--data", data, "--register", golden.standard);
  });
});
