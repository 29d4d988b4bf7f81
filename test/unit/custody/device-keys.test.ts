import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { initCustody, openCustody } from "../../../src/custody/open.ts";
import { readCatalogue } from "../../../src/devices/catalogue/read.ts";
import type { DeviceErrorCode } from "../../../src/devices/errors.ts";
import { DeviceError } from "../../../src/devices/errors.ts";
import { FakeCard } from "../devices/fake-card.ts";
import { TestKeyManager } from "./key-manager.ts";

const context = { node: "n" } as const;

/** A key manager whose devices are fakes. */
class ManagerWithCards extends TestKeyManager {
  readonly cards = new Map<string, FakeCard>();
  opens = async (name: string): Promise<FakeCard> => this.cards.getOrInsertComputed(name, () => new FakeCard());

  static override async make(): Promise<ManagerWithCards> {
    const manager = new ManagerWithCards();
    const { dataDir, unlock } = manager;
    await initCustody({ dataDir, unlock, slotKind: "key-file", clock: () => manager.nowMs });
    manager.write("card-1", "card-2");
    await manager.open();
    return manager;
  }

  override async open() {
    const { dataDir, unlock } = this;
    const clock = () => this.nowMs;
    // Its keys outlast a restart, as a card's do.
    const openDevice = (_: unknown, name: string) => this.opens(name);
    this.custody = await openCustody({ dataDir, unlock, clock, openDevice });
    return this.custody;
  }

  write(...names: string[]): void {
    const text = names.map((name) => `[[device]]\nname = "${name}"\nkind = "sdf"\nlibrary = "/lib/x.so"\n`);
    writeFileSync(join(this.dataDir, "devices.toml"), text.join(""), { mode: 0o600 });
  }

  get sha256(): string {
    return readCatalogue(join(this.dataDir, "devices.toml")).sha256;
  }

  trust(): Promise<readonly string[]> {
    return this.custody.devices.trust(this.admin, this.sha256);
  }

  card(name = "card-1"): FakeCard {
    const card = this.cards.get(name);
    assert.ok(card);
    return card;
  }

  async lastRecord() {
    const records = await this.custody.audit.read(this.admin, { after: 0, limit: 1000 });
    const last = records.at(-1);
    assert.ok(last);
    return last;
  }
}

describe("a master key in a card", () => {
  let manager: ManagerWithCards;
  beforeEach(async () => {
    manager = await ManagerWithCards.make();
  });
  afterEach(() => manager.end());

  it("is made from the card's key that is named, says where it lives, and wraps and unwraps", async () => {
    const { custody, admin } = manager;
    await manager.trust();
    const key = await custody.keys.create(admin, { device: { name: "card-1", keyIndex: 43 } });
    assert.deepEqual([key.origin, key.device, key.suite, key.spec], ["sdf", "card-1", "sm", "SM4"]);
    assert.deepEqual(manager.card().choices, [{ keyIndex: 43 }]);
    const record = await manager.lastRecord();
    assert.equal(record.action, "kms:CreateKey");
    const { device, keyIndex, origin } = record.detail;
    assert.deepEqual([device, keyIndex, origin], ["card-1", 43, "sdf"]);
    const user = await manager.user("user", "key-user");
    const made = await custody.data.generateDataKey(user, { key: key.keyId, context });
    using plaintext = made.plaintext;
    using opened = (await custody.data.unwrap(user, { wrapped: made.wrapped, context })).plaintext;
    assert.ok(opened.equals(plaintext));
    assert.deepEqual(manager.card().asked, ["createKey", "boxSecretToSeal", "boxSecretToOpen"]);
    assert.deepEqual([...manager.cards.keys()], ["card-1"], "another card was opened");
  });

  it("signs with the card's own key pair", async () => {
    const { custody, admin } = manager;
    await manager.trust();
    const input = { spec: "SM2", usage: "sign", device: { name: "card-2", keyIndex: 1 } } as const;
    const key = await custody.keys.create(admin, input);
    const user = await manager.user("user", "key-user");
    const message = { key: key.keyId, algorithm: "SM2DSA", message: Buffer.from("m"), messageType: "raw" } as const;
    const { signature } = await custody.signing.sign(user, message);
    assert.ok(signature.length > 60);
    assert.deepEqual(manager.card("card-2").asked, ["createSpecifiedKey"]);
  });

  it("is refused until the list of devices is trusted, and again once that is another", async () => {
    const { custody, admin } = manager;
    const input = { device: { name: "card-1", keyIndex: 1 } } as const;
    await assert.rejects(custody.keys.create(admin, input), { code: "DEVICE_REFUSED" });
    assert.equal((await manager.lastRecord()).detail.upstream, "CATALOGUE_UNTRUSTED");
    await manager.trust();
    const key = await custody.keys.create(admin, input);
    await manager.custody.close();
    manager.write("card-1", "card-3");
    await manager.open();
    const user = await manager.user("user", "key-user");
    await assert.rejects(manager.custody.data.generateDataKeyWithoutPlaintext(user, { key: key.keyId, context }), {
      code: "DEVICE_REFUSED",
    });
  });

  it("trusts the very file that was looked at, and tells of it in the chain", async () => {
    const { custody, admin } = manager;
    await assert.rejects(custody.devices.trust(admin, "0".repeat(64)), { code: "INPUT_INVALID" });
    assert.deepEqual(await manager.trust(), ["card-1", "card-2"]);
    const { detail, action } = await manager.lastRecord();
    assert.equal(action, "strongroom:TrustDevices");
    assert.equal(detail.sha256, manager.sha256);
    assert.match(String(detail.devices), /card-1: sdf \/lib\/x\.so; card-2/);
    manager.write("../evil");
    await assert.rejects(custody.devices.trust(admin, "1".repeat(64)), { code: "INPUT_INVALID" });
  });

  it("keeps trust over a restart", async () => {
    await manager.trust();
    await manager.restart();
    const states = await manager.custody.devices.list(manager.admin);
    assert.deepEqual(
      states.map(({ name, kind, state, library }) => [name, kind, state, library]),
      ["card-1", "card-2"].map((name) => [name, "sdf", "ready", "/lib/x.so"]),
    );
    assert.equal(manager.cards.size, 0, "a list opened a device");
  });

  for (const role of ["auditor", "operator", "key-user"] as const)
    it(`is not for a principal of role ${role}, who neither trusts devices nor learns which there are`, async () => {
      await manager.trust();
      const { custody } = manager;
      const caller = await manager.user("someone", role);
      for (const name of ["card-1", "no-such-card"])
        await assert.rejects(custody.keys.create(caller, { device: { name, keyIndex: 1 } }), {
          code: "ACCESS_DENIED",
        });
      await assert.rejects(custody.devices.trust(caller, manager.sha256), { code: "ACCESS_DENIED" });
      assert.equal(manager.cards.size, 0);
    });

  it("is no way to learn of devices for who may not use them: every answer is that of a device that there is not", async () => {
    await manager.trust();
    const { custody } = manager;
    const caller = await manager.user("someone", "operator");
    const answerTo = async (name: string, more: object) => {
      try {
        await custody.keys.create(caller, { device: { name }, ...more });
        return "made";
      } catch (error) {
        assert.ok(error instanceof Error && "code" in error);
        return [error.code, error.message].join(" ");
      }
    };
    for (const more of [{}, { usage: "sign" }, { usage: "mac" }, { suite: "sm" }, { spec: "SM2", usage: "sign" }])
      assert.equal(await answerTo("card-1", more), await answerTo("no-such-card", more), JSON.stringify(more));
    manager.write("../evil");
    assert.match(await answerTo("card-1", {}), /^ACCESS_DENIED/);
  });

  it("is tried again with its PIN once an administrator trusts the same list anew", async () => {
    const { custody, admin } = manager;
    await manager.trust();
    let refuses = true;
    const card = new FakeCard();
    manager.opens = async () => {
      if (refuses) throw new DeviceError("DEVICE_PIN_REFUSED");
      return card;
    };
    const input = { device: { name: "card-1", keyIndex: 1 } } as const;
    await assert.rejects(custody.keys.create(admin, input), { code: "DEVICE_REFUSED" });
    const [state] = await custody.devices.list(admin);
    assert.equal(state?.state, "locked");
    assert.match(state.detail, /not sent again: put it right, then strongroom device trust/);
    refuses = false;
    await assert.rejects(custody.keys.create(admin, input), { code: "DEVICE_REFUSED" });
    await manager.trust();
    assert.equal((await custody.keys.create(admin, input)).device, "card-1");
  });

  it("is counted with its uses and failures by kind, which tell what failed last", async () => {
    const { custody, admin } = manager;
    assert.deepEqual(await custody.devices.observed(), { trust: "untrusted", devices: [] });
    await manager.trust();
    const key = await custody.keys.create(admin, { device: { name: "card-1", keyIndex: 43 } });
    const user = await manager.user("user", "key-user");
    const failure = { kind: "comm", code: "0x01000003", evict: true, retryable: true } as const;
    manager.card().failure = new DeviceError("DEVICE_UNREACHABLE", "no answer", undefined, failure);
    for (let times = 0; times < 2; times++)
      await assert.rejects(custody.data.generateDataKey(user, { key: key.keyId, context }), {
        code: "DEVICE_UNREACHABLE",
      });
    const { trust, devices } = await custody.devices.observed();
    const told = devices.map(({ name, uses, failures, breakerOpen }) => [name, uses, failures, breakerOpen]);
    const expected = [
      ["card-1", 3, { comm: 2 }, false],
      ["card-2", 0, {}, false],
    ];
    assert.deepEqual([trust, told], ["trusted", expected]);
    manager.opens = async () => {
      throw new DeviceError("DEVICE_UNREACHABLE", "no answer", undefined, failure);
    };
    await assert.rejects(custody.keys.create(admin, { device: { name: "card-2", keyIndex: 1 } }), {
      code: "DEVICE_UNREACHABLE",
    });
    const second = (await custody.devices.list(admin))[1];
    assert.deepEqual([second?.state, second?.failures, second?.lastError?.kind], ["down", { comm: 1 }, "comm"]);
    manager.write("card-1");
    assert.deepEqual(
      (await custody.devices.list(admin)).map((each) => each.trust),
      ["changed", "changed"],
    );
    assert.equal((await custody.devices.observed()).trust, "changed");
  });

  it("is refused with another origin beside the device, with two keys of it, or in a device that there is not", async () => {
    await manager.trust();
    const { custody, admin } = manager;
    const refused = [
      [{ origin: "soft", device: { name: "card-1" } }, "INPUT_INVALID"],
      [{ upstream: { integration: "kms-1" }, device: { name: "card-1" } }, "INPUT_INVALID"],
      [{ device: { name: "card-1", keyIndex: 1, kekIndex: 2 } }, "INPUT_INVALID"],
      [{ device: { name: "card-9", keyIndex: 1 } }, "KEY_UNSUPPORTED"],
    ] as const;
    for (const [input, code] of refused) await assert.rejects(custody.keys.create(admin, input), { code });
    assert.equal((await custody.keys.list(admin)).length, 0);
  });

  it("is not rotated here: what is in the card is the card's", async () => {
    await manager.trust();
    const { custody, admin } = manager;
    const { keyId } = await custody.keys.create(admin, { device: { name: "card-1", keyIndex: 1 } });
    await assert.rejects(custody.keys.rotate(admin, keyId), { code: "KEY_UNSUPPORTED" });
    await assert.rejects(custody.rotation.enable(admin, keyId), { code: "KEY_UNSUPPORTED" });
  });

  it("in a token is rotated by people who learn that the token failed, and not where its PIN lies", async () => {
    const token = `[[device]]\nname = "card-1"\nkind = "pkcs11"\nlibrary = "/lib/x.so"\ntoken_label = "t"\n`;
    writeFileSync(join(manager.dataDir, "devices.toml"), token, { mode: 0o600 });
    await manager.trust();
    const { custody, admin } = manager;
    const { keyId } = await custody.keys.create(admin, { device: { name: "card-1" } });
    manager.card().failure = new DeviceError("DEVICE_PIN_UNSAFE", "the PIN file /etc/secret/card.pin has mode 0644");
    await assert.rejects(custody.keys.rotate(admin, keyId), { code: "DEVICE_REFUSED", message: /card\.pin/ });
    const user = await manager.user("someone", "key-user");
    const policy = JSON.parse(await custody.policies.get(admin, keyId));
    const allowed = {
      Effect: "Allow",
      Principal: { AWS: user.principal },
      Action: "kms:RotateKeyOnDemand",
      Resource: "*",
    };
    policy.Statement.push({ Sid: "rotates", ...allowed });
    await custody.policies.put(admin, keyId, JSON.stringify(policy));
    await assert.rejects(custody.keys.rotate(user, keyId), (error) => {
      assert(error instanceof Error && "code" in error);
      assert.equal(error.code, "DEVICE_REFUSED");
      assert.doesNotMatch(error.message, /card\.pin/);
      return true;
    });
    assert.match(String((await manager.lastRecord()).detail.upstream), /DEVICE_PIN_UNSAFE/);
  });

  it("tells the card when it is destroyed", async () => {
    await manager.trust();
    const { custody, admin } = manager;
    const { keyId } = await custody.keys.create(admin, { device: { name: "card-1", keyIndex: 1 } });
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    manager.nowMs += 8 * 24 * 60 * 60 * 1000;
    await custody.keys.destroy(admin, keyId);
    assert.deepEqual(manager.card().asked, ["createKey", "destroyKey"]);
  });

  const told: readonly (readonly [DeviceErrorCode, string])[] = [
    ["DEVICE_PIN_REFUSED", "DEVICE_REFUSED"],
    ["DEVICE_KEY_NOT_FOUND", "DEVICE_REFUSED"],
    ["DEVICE_UNREACHABLE", "DEVICE_UNREACHABLE"],
    ["DEVICE_TIMEOUT", "DEVICE_UNREACHABLE"],
    ["DEVICE_BUSY", "DEVICE_UNREACHABLE"],
    ["DEVICE_LOCKED", "DEVICE_UNREACHABLE"],
    ["DEVICE_KEY_CHANGED", "DEVICE_FAILED"],
    ["DEVICE_FAILED", "DEVICE_FAILED"],
    ["KEY_DAMAGED", "DEVICE_FAILED"],
    ["DEVICE_UNSUPPORTED", "KEY_UNSUPPORTED"],
  ];
  for (const [code, answered] of told)
    it(`answers ${answered} for the card's ${code}, asks once, and keeps the vendor's code for the record`, async () => {
      await manager.trust();
      const { custody, admin } = manager;
      const { keyId } = await custody.keys.create(admin, { device: { name: "card-1", keyIndex: 1 } });
      const user = await manager.user("user", "key-user");
      const failure = { kind: "comm", code: "0x01000003", evict: true, retryable: true } as const;
      manager.card().failure = new DeviceError(code, "a long story of the card", undefined, failure);
      const before = manager.card().asked.length;
      await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context }), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.equal(error.code, answered);
        assert.doesNotMatch(error.message, /long story|0x0100/);
        return true;
      });
      assert.equal(manager.card().asked.length, before + 1);
      assert.equal((await manager.lastRecord()).detail.upstream, `card-1 ${code} 0x01000003`);
    });
});
