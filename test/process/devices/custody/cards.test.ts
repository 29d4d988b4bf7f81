/** The program with the test cipher card as its device: the whole way from devices.toml to a master key in the card. */
import assert from "node:assert/strict";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startKeyManager } from "../../../fisco-stand-in/processes.ts";
import { fiscoCall } from "../../../fisco-stand-in/raw-exchange.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { KeyManagerFolder, runStrongroom, startServer, TemporaryFolder } from "../../running-server.ts";
import { UpstreamKms } from "../../upstream-kms.ts";

const skip = sdfCardMissing();
const pin = "PIN-canary-86420";
const context = { node: "n" } as const;

function entryFor(name: string, library: string, more = ""): string {
  return `[[device]]
name = "${name}"
kind = "sdf"
library = "${library}"
key_indices = [1]
kek_indices = [2]
pin_file = "card.pin"
sessions_max = 2
${more}
`;
}

/** A key manager's folder with a card in its devices.toml, which nobody has trusted yet. */
class Place implements Disposable {
  readonly card: TestCard = makeTestCard(pin);
  readonly manager: KeyManagerFolder;

  private constructor(manager: KeyManagerFolder) {
    this.manager = manager;
    this.card.admin("generate", "1");
    this.card.admin("kek", "2");
    this.write(entryFor("card-1", this.card.library));
    writeFileSync(join(manager.dataDir, "card.pin"), `${pin}\n`, { mode: 0o600 });
  }

  static async make(): Promise<Place> {
    return new Place(await KeyManagerFolder.make());
  }

  write(text: string): void {
    writeFileSync(join(this.manager.dataDir, "devices.toml"), text, { mode: 0o600 });
  }

  async run(...args: readonly string[]) {
    return await runStrongroom([...args, ...this.manager.options]);
  }

  async done(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  [Symbol.dispose](): void {
    this.card[Symbol.dispose]();
    this.manager[Symbol.dispose]();
  }
}

describe("a key manager with a cipher card", { skip }, () => {
  it("is opened by the card alone, wraps under the card's keys, and refuses while the card is unplugged", async () => {
    using place = await Place.make();
    const { dataDir } = place.manager;
    await place.done("key", "slot", "add", "--device", "card-1", "--key-index", "1", "--label", "vault");
    await place.done("device", "trust");
    const options = ["--unlock-device", "card-1", "--metrics", "127.0.0.1:0"];
    await using server = await startServer({ dataDir }, options);
    const pair = await server.admin.keys.create({ device: { name: "card-1", keyIndex: 1 } });
    const kek = await server.admin.keys.create({ device: { name: "card-1", kekIndex: 2 } });
    assert.deepEqual([pair.origin, pair.device, pair.suite], ["sdf", "card-1", "sm"]);
    await using key = await client(server, pair.keyId, kek.keyId);
    for (const { keyId } of [pair, kek]) {
      const made = await key.use.generateDataKey({ key: keyId, context });
      using opened = (await key.use.unwrap({ wrapped: made.wrapped, context })).plaintext;
      assert.equal(opened.byteLength, 32);
      place.card.setFaults("unplugged=1");
      await assert.rejects(
        key.use.unwrap({ wrapped: made.wrapped, context }),
        (error) => error instanceof Error && "code" in error && /UNREACHABLE|^DEVICE_/.test(String(error.code)),
      );
      place.card.setFaults();
    }
    const [state] = await server.admin.devices.list();
    assert.equal(state?.name, "card-1");
    assert.ok(state.processStarts >= 1 && state.uses >= 8, JSON.stringify(state));
    assert.ok(Object.keys(state.failures).length > 0 && state.lastError !== null, JSON.stringify(state));
    const { metrics } = server.addresses as typeof server.addresses & { readonly metrics: string };
    const gathered = await (await fetch(`http://${metrics}/metrics`)).text();
    assert.match(gathered, /strongroom_devices_trusted 1\n/);
    assert.match(gathered, /strongroom_device_uses_total\{device="card-1"\} [1-9]/);
    assert.match(gathered, /strongroom_device_failures_total\{device="card-1",kind="[a-z-]+"\} [1-9]/);
    assert.doesNotMatch(gathered, /PIN-canary/);
    const told = await runStrongroom(["device", "status", "--data", dataDir]);
    assert.match(told.stdout, /card-1 +sdf +\w+ +trusted +\d+ +\d+ +\d+ +\d+ [a-z-]+/);
    const { code, stderr } = await server.stop();
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /PIN-canary/);
  });

  it("holds the PIN in no file but the PIN's, in no argument and no environment of any of its processes", async () => {
    using place = await Place.make();
    const { dataDir } = place.manager;
    await place.done("device", "trust");
    await using server = await startServer(place.manager);
    await server.admin.keys.create({ device: { name: "card-1", keyIndex: 1 } });
    const family = [server.pid, ...childrenOf(server.pid)];
    assert.ok(family.length >= 2, "the card has no process of its own");
    for (const process of family)
      for (const file of ["cmdline", "environ"]) {
        let text = "";
        try {
          text = readFileSync(`/proc/${process}/${file}`, "latin1");
        } catch {
          // Closed to other processes of this user, as it should be.
        }
        assert.doesNotMatch(text, /PIN-canary/, `${file} of ${process}`);
      }
    await server.stop();
    for (const name of readdirSync(dataDir).filter((each) => each !== "card.pin"))
      assert.ok(!readFileSync(join(dataDir, name)).includes("PIN-canary"), name);
  });

  it("does not start by a devices.toml that nobody trusted, or that was changed since", async () => {
    using place = await Place.make();
    const open = ["key", "list", "--data", place.manager.dataDir, "--unlock-device", "card-1"];
    await place.done("key", "slot", "add", "--device", "card-1", "--key-index", "1");
    const untrusted = await runStrongroom(open);
    assert.equal(untrusted.code, 5, untrusted.stderr);
    assert.match(untrusted.stderr, /no administrator trusted/);
    // Nor does it let an operator put his secret beside what that list's device opens.
    using folder = new TemporaryFolder();
    const slots = readFileSync(join(place.manager.dataDir, "root.slots"));
    const add = ["key", "slot", "add", "--data", place.manager.dataDir, "--unlock-device", "card-1"];
    const added = await runStrongroom([...add, "--new-file", folder.file("new-secret", "a passphrase")]);
    assert.equal(added.code, 5, added.stderr);
    const removed = await runStrongroom([...add.with(2, "remove"), "1"]);
    assert.equal(removed.code, 5, removed.stderr);
    assert.deepEqual(readFileSync(join(place.manager.dataDir, "root.slots")), slots);
    await place.done("device", "trust");
    assert.equal((await runStrongroom(open)).code, 0);
    const addedNow = await runStrongroom([...add, "--new-file", folder.file("new-secret", "a passphrase")]);
    assert.equal(addedNow.code, 0, addedNow.stderr);
    place.write(`${entryFor("card-1", place.card.library)}# changed\n`);
    const changed = await runStrongroom(open);
    assert.equal(changed.code, 5, changed.stderr);
    const refused = await place.run("key", "create", "--device", "card-1", "--key-index", "1");
    assert.equal(refused.code, 3, refused.stderr);
  });

  it("says what keeps a device from opening: name, library, key, PIN; a wrong PIN is sent once", async () => {
    using place = await Place.make();
    const add = (device: string, index = "1") =>
      place.run("key", "slot", "add", "--device", device, "--key-index", index);
    const unknown = await add("card-9");
    assert.deepEqual([unknown.code, /no device "card-9"/.test(unknown.stderr)], [2, true], unknown.stderr);
    const absent = await add("card-1", "9");
    assert.notEqual(absent.code, 0);
    assert.match(absent.stderr, /9/);
    place.write(entryFor("card-1", join(place.manager.folder, "missing.so")));
    assert.match((await add("card-1")).stderr, /missing\.so cannot be used: ENOENT/);
    place.write(entryFor("card-1", place.card.library, `library_sha256 = "${"0".repeat(64)}"`));
    assert.equal((await add("card-1")).code, 5);
    place.write(entryFor("card-1", place.card.library));
    writeFileSync(join(place.manager.dataDir, "card.pin"), "wrong-PIN-canary");
    const wrong = await add("card-1");
    assert.equal(wrong.code, 3, wrong.stderr);
    assert.doesNotMatch(wrong.stderr + wrong.stdout, /canary/);
  });

  it("goes on with the other card of a failover set, which holds the same keys; one with others is refused", async () => {
    using place = await Place.make();
    const twin = copyOf(place.card, join(place.manager.folder, "twin"));
    const set = `[[device]]\nname = "cards"\nmembers = ["card-1", "card-2"]\n`;
    place.write(entryFor("card-1", place.card.library) + entryFor("card-2", twin) + set);
    await place.done("device", "trust");
    await using server = await startServer(place.manager);
    const { keyId, device } = await server.admin.keys.create({ device: { name: "cards", keyIndex: 1 } });
    assert.equal(device, "cards");
    await using key = await client(server, keyId);
    const made = await key.use.generateDataKey({ key: keyId, context });
    using plaintext = (await key.use.unwrap({ wrapped: made.wrapped, context })).plaintext;
    place.card.setFaults("unplugged=1");
    using opened = (await key.use.unwrap({ wrapped: made.wrapped, context })).plaintext;
    assert.ok(opened.equals(plaintext));
    await server.stop();
    place.card.setFaults();
    using stranger = makeTestCard(pin);
    stranger.admin("generate", "1");
    stranger.admin("kek", "2");
    const info = ["device", "info", "cards", "--devices", join(place.manager.dataDir, "devices.toml")];
    const infoOfSet = async (second: string) => {
      place.write(entryFor("card-1", place.card.library) + entryFor("card-2", second) + set);
      return await runStrongroom(info);
    };
    const refused = await infoOfSet(stranger.library);
    assert.equal(refused.code, 5, refused.stderr);
    const again = await infoOfSet(copyOf(place.card, join(place.manager.folder, "another-twin")));
    assert.equal(again.code, 0, again.stderr);
    // The same key pairs, but a key-encryption key of its own.
    const half = join(place.manager.folder, "half-twin");
    const halfTwin = copyOf(place.card, half);
    stranger.admin("kek", "2", "--replace", "--dir", join(half, "card"));
    const refusedToo = await infoOfSet(halfTwin);
    assert.equal(refusedToo.code, 5, refusedToo.stderr);
    assert.match(refusedToo.stderr, /card-2 holds another key than card-1/);
  });
});

describe("device, the command", { skip }, () => {
  it("lists, shows, exports, proves and measures a card", async () => {
    using place = await Place.make();
    const at = ["--devices", join(place.manager.dataDir, "devices.toml")];
    const json = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runStrongroom(["device", ...args, ...at, "--json"]);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    assert.equal((await json("list"))[0].name, "card-1");
    assert.match((await json("info", "card-1")).info.maker, /TEST card/);
    assert.equal((await json("keys", "list", "card-1"))[0].name, "1");
    const exported = await runStrongroom(["device", "keys", "export-public", "card-1", "--key-index", "1", ...at]);
    assert.match(exported.stdout, /^-----BEGIN PUBLIC KEY-----\n/);
    const report = await json("test", "card-1");
    assert.deepEqual([report.failed, report.checks.length > 8], [0, true], JSON.stringify(report.checks));
    const bench = await json("bench", "card-1", "--seconds", "1");
    assert.deepEqual(
      bench.speeds.map(({ callers }: { callers: number }) => callers),
      [1, 2],
    );
  });

  it("tells of a card that signs wrongly, with exit code 5", async () => {
    using place = await Place.make();
    // The first signature is the self-test's, without which the card does not open.
    place.card.setFaults("on=SDF_InternalSign_ECC", "corrupt-every=2");
    const at = ["--devices", join(place.manager.dataDir, "devices.toml")];
    const { code, stdout } = await runStrongroom(["device", "test", "card-1", ...at]);
    assert.equal(code, 5);
    assert.match(stdout, /^failed +sign\/verifies .*\n +.*does not verify$/m);
    assert.match(stdout, /^\d+ passed, [1-9]\d* failed, /m);
  });

  it("says plainly what GM/T 0018 has no call for", async () => {
    using place = await Place.make();
    const at = ["--devices", join(place.manager.dataDir, "devices.toml")];
    for (const args of [
      ["generate", "card-1", "--label", "x"],
      ["import", "card-1"],
    ]) {
      const { code, stderr } = await runStrongroom(["device", "keys", ...args, ...at]);
      assert.equal(code, 2);
      assert.match(stderr, /GM\/T 0018 has no call for it/);
    }
  });
});

describe("a FISCO key manager whose superKey a device opens", { skip }, () => {
  it("gives the values of that superKey, and has it in no file", async () => {
    using place = await Place.make();
    using folder = new TemporaryFolder();
    const devices = join(place.manager.dataDir, "devices.toml");
    const envelope = join(folder.path, "super.envelope");
    const secret = folder.file("super.key", "123xyz\n");
    const sealed = await runStrongroom([
      "device",
      "envelope",
      "card-1",
      "--key-index",
      "1",
      "--devices",
      devices,
      "--secret-file",
      secret,
      "--out",
      envelope,
    ]);
    assert.equal(sealed.code, 0, sealed.stderr);
    assert.ok(!readFileSync(envelope).includes("123xyz"));
    const data = join(folder.path, "data");
    const options = ["--super-key-device", "card-1", "--super-key-envelope", envelope, "--devices", devices];
    const running = await startKeyManager([...options, "--data", data]);
    try {
      assert.equal((await fiscoCall(running.port, "encDataKey", "123456")).dataKey, "ed157f4588b86d61a2e1745efe71e6ea");
      assert.doesNotMatch(running.output(), /warning|123xyz/);
    } finally {
      await running.stop();
    }
    const incomplete = await runStrongroom(["8150", ...options.slice(2), "--data", data], { program: "key-manager" });
    assert.equal(incomplete.code, 2);
    const twice = await runStrongroom(["8150", "123xyz", ...options, "--data", data], { program: "key-manager" });
    assert.equal(twice.code, 2);
    place.card.setFaults("unplugged=1");
    const unplugged = await runStrongroom(["8150", ...options, "--data", data], { program: "key-manager" });
    assert.notEqual(unplugged.code, 0);
  });
});

it("a key manager is opened by a key in a KMS, and by nothing once the KMS refuses", async () => {
  await using upstream = await UpstreamKms.start();
  using manager = await KeyManagerFolder.make();
  copyFileSync(upstream.secretFile, join(manager.dataDir, "kms.secret"));
  writeFileSync(
    join(manager.dataDir, "devices.toml"),
    `[[device]]
name = "kms"
kind = "aws-kms"
region = "local"
access_key_id = "${upstream.apiKey}"
secret_file = "kms.secret"
master_key = "alias/kaleido"
endpoint = "${upstream.endpoint}"
`,
    { mode: 0o600 },
  );
  for (const args of [
    ["key", "slot", "add", "--device", "kms"],
    ["device", "trust"],
  ]) {
    const { code, stderr } = await runStrongroom([...args, ...manager.options]);
    assert.equal(code, 0, stderr);
  }
  const open = ["key", "list", "--data", manager.dataDir, "--unlock-device", "kms"];
  const opened = await runStrongroom(open);
  assert.equal(opened.code, 0, opened.stderr);
  await upstream.admin.keys.disable("alias/kaleido");
  const refused = await runStrongroom(open);
  assert.equal(refused.code, 3, refused.stderr);
});

/** A node that may use these keys, which an administrator may not. */
async function client(server: Awaited<ReturnType<typeof startServer>>, ...keys: readonly string[]) {
  const enrolment = await server.enrol("node-1", keys[0]);
  using _key = enrolment.privateKeyPem;
  const grantee = (await server.admin.nodes.list()).find(({ name }) => name === "node-1")?.arn ?? "";
  const operations = ["GenerateDataKeyWithoutPlaintext", "Decrypt"] as const;
  for (const key of keys) await server.admin.grants.create(key, { grantee, operations: [...operations] });
  const use = server.clientOf(enrolment);
  return { use, [Symbol.asyncDispose]: async () => use.close() };
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${each}/status`, "latin1"))?.[1]) === pid;
      } catch {
        return false;
      }
    });
}

/** A second card with the first one's keys, as a vendor's backup card has them; the path of its library. */
function copyOf(card: TestCard, folder: string): string {
  mkdirSync(folder);
  cpSync(card.dir, join(folder, "card"), { recursive: true });
  copyFileSync(card.library, join(folder, "libgmt0018.so"));
  writeFileSync(join(folder, "sdf-card.dir"), `${join(folder, "card")}\n`);
  return join(folder, "libgmt0018.so");
}
