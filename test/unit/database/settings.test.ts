import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { DatabaseError } from "../../../src/database/errors.ts";
import { fieldOf, type SettingName, settingNames } from "../../../src/database/setting-fields.ts";
import { encryptionOf, readDatabaseSettings } from "../../../src/database/settings.ts";
import { maxSettingsBytes, parseSettings } from "../../../src/database/settings-file.ts";
import { scaled, seed } from "../../run-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-settings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The public key that the published manual of the `fctools` program prints. */
const publicKey =
  "04dfe998c7c5febbfe7784e0c19bcd3157206152602b7268bf1dfb6b74aef6aa0e84459854298b8357b0635e1f951bc9c1530ea01c87ad562dcbe8b4cc64b10238";
const invalid = { code: "SETTINGS_INVALID", exitCode: 2 };
const soft = `provider = "gm-soft"\npublic-key = "${publicKey}"\ntype = "file"\npath = "keys/master.key"\n`;
const card = `provider = "gm-rk"\npublic-key = "${publicKey}"\ndevices = "devices.toml"\n`;
const keyManager = `provider = "key-manager"\nservers = ["https://km.example:7443"]\nidentity = "identity"\nmaster-key = "alias/tsdb"\n`;

function encryption(section: string) {
  return encryptionOf(parseSettings(`[security.encryption]\n${section}`, "/etc/strongroom/strongroom.toml"));
}

function flags(given: Partial<Record<SettingName, string | readonly string[]>>) {
  return new Map(Object.entries(given) as [SettingName, string | readonly string[]][]);
}

let files = 0;
function file(text: string): string {
  files += 1;
  const path = join(folder, `${files}.toml`);
  writeFileSync(path, text);
  return path;
}

describe("settings of encryption", () => {
  it("are those of a private key in a file, as the manual writes them", () => {
    assert.deepEqual(encryption(soft), {
      provider: "gm-soft",
      publicKey: Buffer.from(publicKey, "hex"),
      privateKeyFile: "/etc/strongroom/keys/master.key",
      pincode: undefined,
    });
  });

  it("are those of a card, or of a key manager's key", () => {
    assert.deepEqual(encryption(`${card}device = "card-1"\npincode-file = "/run/pin"\n`), {
      provider: "gm-rk",
      publicKey: Buffer.from(publicKey, "hex"),
      devicesFile: "/etc/strongroom/devices.toml",
      device: "card-1",
      pincode: { file: "/run/pin" },
    });
    assert.deepEqual(encryption(keyManager), {
      provider: "key-manager",
      servers: ["https://km.example:7443"],
      identityFolder: "/etc/strongroom/identity",
      masterKey: "alias/tsdb",
    });
  });

  it("know the manual's other names of providers", () => {
    assert.equal(encryption(soft.replace("gm-soft", "software"))?.provider, "gm-soft");
    assert.equal(encryption(card.replace("gm-rk", "hardware"))?.provider, "gm-rk");
  });

  it("take an empty text for a setting that is not given, as a card's path and type", () => {
    assert.equal(encryption(`${card}type = ""\npath = ""\n`)?.provider, "gm-rk");
    assert.throws(() => encryption(soft.replace("keys/master.key", "")), { ...invalid, message: /^path .*is missing/ });
  });

  it("are none when nothing is given", () => {
    assert.equal(encryption(""), undefined);
    assert.equal(encryptionOf(parseSettings("", "strongroom.toml")), undefined);
    assert.equal(encryptionOf(parseSettings("[security]", "strongroom.toml")), undefined);
  });

  for (const [what, section, message] of [
    ["no provider", soft.replace(/provider.*\n/, ""), /^provider of \[security.encryption\] \(--provider\) is missing/],
    [
      "another provider",
      soft.replace("gm-soft", "gm-hard"),
      /^provider .* is one of gm-soft, software, gm-rk.*, not "gm-hard"$/,
    ],
    ["a provider's name in other case", soft.replace("gm-soft", "GM-SOFT"), /is one of/],
    ["a provider that is a name of every object", soft.replace("gm-soft", "constructor"), /is one of/],
    ["no public key", soft.replace(/public-key.*\n/, ""), /^public-key .*is missing; the provider gm-soft needs it/],
    ["no path", soft.replace(/path.*\n/, ""), /^path .* \(--private-key-file\) is missing/],
    ["another type", soft.replace('"file"', '"kms"'), /^type .* is file, .*not "kms"$/],
    ["a card's setting for a key in a file", `${soft}devices = "devices.toml"\n`, /^devices .* no setting .* gm-soft/],
    ["a path for a card", `${card}path = "master.key"\n`, /^path .* no setting of the provider gm-rk/],
    ["no devices for a card", card.replace(/devices.*\n/, ""), /^devices .*is missing/],
    ["a public key for a key manager's key", `${keyManager}public-key = "${publicKey}"\n`, /^public-key .* no setting/],
    ["no servers", keyManager.replace(/servers.*\n/, ""), /^servers .*is missing/],
    ["an empty list of servers", keyManager.replace(/\[".*"\]/, "[]"), /^servers .*is missing/],
    ["a server without TLS", keyManager.replace("https:", "http:"), /takes https:\/\/HOST:PORT/],
    ["a server with a path", keyManager.replace(":7443", ":7443/keys"), /takes https:\/\/HOST:PORT/],
    ["a server with a password", keyManager.replace("//km", "//a:b@km"), /takes https:\/\/HOST:PORT/],
    ["no master key", keyManager.replace(/master-key.*\n/, ""), /^master-key .*is missing/],
    ["two sources of the pincode", `${soft}pincode-file = "a"\npincode-fd = "3"\n`, /two sources/],
    ["a descriptor that is no number", `${soft}pincode-fd = "-3"\n`, /number of a file descriptor/],
    ["a pincode", `${soft}pincode = "12345678"\n`, /unknown "security.encryption.pincode"/],
    ["a misspelt name", soft.replace("public-key", "public_key"), /unknown "security.encryption.public_key"/],
    ["a number for a text", soft.replace('"keys/master.key"', "7"), /security.encryption.path is not a text/],
    ["a list for a text", soft.replace('"keys/master.key"', '["a"]'), /security.encryption.path is not a text/],
    ["a text for a list", keyManager.replace(/\[("[^"]+")\]/, "$1"), /servers is not a list of texts/],
    ["an empty member of a list", keyManager.replace(/\[".*"\]/, '[""]'), /has an empty member/],
    ["a zero byte", soft.replace("keys/", "keys\\u0000/"), /holds a control character/],
    ["a line end", soft.replace("keys/", "keys\\n/"), /holds a control character/],
    ["a text that is too long", soft.replace("keys/", "k".repeat(5000)), /is over 4096 characters/],
    ["a table in the section", `${soft}[security.encryption.more]\n`, /unknown "security.encryption.more"/],
  ] as const)
    it(`refuse ${what}`, () => assert.throws(() => encryption(section), { ...invalid, message }));

  it("refuse a public key that is none, by its own error", () => {
    assert.throws(() => encryption(soft.replace(publicKey, publicKey.slice(2))), { code: "PUBLIC_KEY_INVALID" });
  });
});

describe("a settings file", () => {
  for (const [what, text, message] of [
    ["that is not TOML", "[security", /is not TOML: line 1, column/],
    ["with an unknown table", "[http]\n", /unknown "http"/],
    ["with another table of security", "[security.tls]\n", /unknown "security.tls"/],
    ["whose security is a text", 'security = "on"', /security is not a table/],
    ["whose encryption is a list", "[[security.encryption]]\n", /security.encryption is not a table/],
    ["with a section twice", "[database]\n[database]\n", /is not TOML/],
    ["with a setting twice", '[database]\ndata = "a"\ndata = "b"\n', /is not TOML/],
    ["that is not UTF-8", "# \uFFFD", /is not UTF-8/],
    ["that is too large", `#${"x".repeat(maxSettingsBytes)}`, /is over/],
    ["with a prototype", "[__proto__]\nprovider = 'gm-soft'\n", /unknown "__proto__"/],
  ] as const)
    it(`is refused ${what}, with its name and no line of it`, () => {
      assert.throws(
        () => parseSettings(text, "etc/s.toml"),
        (error: unknown) => {
          assert.ok(error instanceof DatabaseError);
          assert.equal(error.code, "SETTINGS_INVALID");
          assert.match(error.message, message);
          assert.match(error.message, /^etc\/s.toml: /);
          return true;
        },
      );
    });

  it("never makes the reader fail in another way, whatever is in it", () => {
    const values = fc.oneof(
      fc.string().map((text) => JSON.stringify(text)),
      fc.constantFrom("1", "true", "[]", "{}", "''"),
    );
    const lines = fc.oneof(
      fc.string(),
      fc.constantFrom("[security.encryption]", "[database]", "[security]", "[[security]]", "security.encryption = 1"),
      fc
        .tuple(fc.constantFrom(...settingNames.map((name) => fieldOf(name).name)), values)
        .map((pair) => pair.join(" = ")),
    );
    fc.assert(
      fc.property(fc.array(lines, { maxLength: 12 }), (text) => {
        try {
          encryptionOf(parseSettings(text.join("\n"), "s.toml"));
        } catch (error) {
          if (!(error instanceof DatabaseError)) throw error;
        }
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });

  it("is told when it is not there, or is a folder", () => {
    assert.throws(() => readDatabaseSettings(join(folder, "none.toml"), flags({ data: "d" })), {
      ...invalid,
      message: /none.toml: cannot be read: ENOENT/,
    });
    assert.throws(() => readDatabaseSettings(folder, flags({ data: "d" })), {
      ...invalid,
      message: /not a regular file/,
    });
  });
});

describe("settings of an instance", () => {
  it("are those of the file, whose paths start at its folder", () => {
    const config = file(`[database]\ndata = "data"\nlisten = "[::1]:9086"\ninfluxd = "bin/influxd"\n`);
    assert.deepEqual(readDatabaseSettings(config, flags({})), {
      dataFolder: join(folder, "data"),
      listen: { host: "::1", port: 9086 },
      influxd: join(folder, "bin/influxd"),
      influxdConfig: undefined,
      cipher: "sm4-gcm",
      metadataKey: { in: "file", file: undefined },
      onDamage: "refuse",
      encryption: undefined,
    });
  });

  it("are those of flags, which come before the file's and start at the current folder", () => {
    const config = file(`[database]\ndata = "data"\n[security.encryption]\n${soft}`);
    const settings = readDatabaseSettings(
      config,
      flags({ data: "other", path: "./k", pincodeFile: "pin", listen: "localhost:1" }),
    );
    assert.equal(settings.dataFolder, resolve("other"));
    assert.deepEqual(settings.listen, { host: "localhost", port: 1 });
    const { encryption: found } = settings;
    assert.ok(found?.provider === "gm-soft");
    assert.equal(found.privateKeyFile, resolve("k"));
    assert.deepEqual(found.pincode, { file: resolve("pin") });
  });

  it("say where the key to metadata is, and the cipher", () => {
    const config = file(
      `[database]\ndata = "d"\ncipher = "aes-256-gcm"\nmetadata-key-file = "k/meta"\ninfluxd-config = "i.conf"\n`,
    );
    const settings = readDatabaseSettings(config, flags({}));
    assert.equal(settings.cipher, "aes-256-gcm");
    assert.deepEqual(settings.metadataKey, { in: "file", file: join(folder, "k/meta") });
    assert.equal(settings.influxdConfig, join(folder, "i.conf"));
    const underMaster = file(`[database]\ndata = "d"\nmetadata-key = "master"\n[security.encryption]\n${soft}`);
    assert.deepEqual(readDatabaseSettings(underMaster, flags({})).metadataKey, { in: "master" });
  });

  it("need no file: every setting has a flag of its own", () => {
    const names = settingNames.map((name) => fieldOf(name).flag);
    assert.equal(new Set(names).size, names.length);
    const settings = readDatabaseSettings(
      undefined,
      flags({
        data: "d",
        provider: "key-manager",
        servers: ["https://a:1", "https://b:2"],
        identity: "i",
        masterKey: "alias/k",
      }),
    );
    assert.deepEqual(settings.listen, { host: "127.0.0.1", port: 8086 });
    assert.equal(settings.influxd, "influxd");
    assert.deepEqual(settings.encryption, {
      provider: "key-manager",
      servers: ["https://a:1", "https://b:2"],
      identityFolder: resolve("i"),
      masterKey: "alias/k",
    });
  });

  it("keep an influxd without a slash as a name to look for on PATH", () => {
    assert.equal(readDatabaseSettings(undefined, flags({ data: "d", influxd: "influxd-1.8" })).influxd, "influxd-1.8");
    const config = file(`[database]\ndata = "d"\ninfluxd = "influxd"\n`);
    assert.equal(readDatabaseSettings(config, flags({})).influxd, "influxd");
  });

  for (const [what, given, message] of [
    ["no data folder", {}, /^data of \[database\] \(--data\) is missing/],
    ["an empty flag", { data: "" }, /^--data is empty/],
    ["a flag given twice", { data: ["a", "b"] }, /^--data is given more than once/],
    ["a flag with a zero byte", { data: "a\0b" }, /^--data holds a control character/],
    ["a port out of range", { data: "d", listen: "127.0.0.1:65536" }, /^listen .*HOST:PORT/],
    ["port 0", { data: "d", listen: "127.0.0.1:0" }, /^listen .*HOST:PORT/],
    ["no port", { data: "d", listen: "127.0.0.1" }, /^listen .*HOST:PORT/],
    ["no host", { data: "d", listen: ":8086" }, /^listen .*HOST:PORT/],
    ["a URL to listen on", { data: "d", listen: "http://a:1" }, /^listen .*HOST:PORT/],
    ["another cipher", { data: "d", cipher: "sm4-cbc" }, /^cipher .* sm4-gcm or aes-256-gcm/],
    ["another place of the metadata's key", { data: "d", metadataKey: "env" }, /^metadata-key .* file or master/],
    ["the master key without its settings", { data: "d", metadataKey: "master" }, /^metadata-key .* needs/],
    ["another answer to damage", { data: "d", onDamage: "ignore" }, /^on-damage .* refuse or tell/],
    ["two places", { data: "d", metadataKey: "master", metadataKeyFile: "x" }, /^metadata-key-file .* goes with/],
    ["a pincode file without a provider", { data: "d", pincodeFile: "p" }, /^provider .* is missing/],
  ] as const)
    it(`refuse ${what}`, () => {
      assert.throws(() => readDatabaseSettings(undefined, flags(given)), { ...invalid, message });
    });

  it("refuse a flag of another provider than the file's", () => {
    const config = file(`[database]\ndata = "d"\n[security.encryption]\n${soft}`);
    assert.throws(() => readDatabaseSettings(config, flags({ provider: "gm-rk", devices: "x" })), {
      ...invalid,
      message: /no setting of the provider gm-rk/,
    });
  });
});
