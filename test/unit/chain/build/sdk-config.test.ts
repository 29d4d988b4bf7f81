import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ChainBuildError } from "../../../../src/chain/build/errors.ts";
import { readSdkConfig, readSdkPin } from "../../../../src/chain/sdk-config.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { ChainFolder } from "./chain-folder.ts";

/** As the java-sdk's own sample has it. */
const sample = `
[cryptoMaterial]
certPath = "conf"                           # The certification path
disableSsl = "false"
useSMCrypto = "true"
enableHsm = "true"
hsmLibPath = "/usr/local/lib/libgmt0018.so"
hsmKeyIndex = "43"
hsmPassword = "12345678"
# caCert = "conf/ca.crt"

[network]
messageTimeout = "10000"
defaultGroup="group0"
peers=["127.0.0.1:20200", "127.0.0.1:20201"]    # The peer list to connect

[account]
keyStoreDir = "account"
accountFileFormat = "HSM"

[threadPool]
# threadPoolSize = "16"
`;

function read(text: string, mode = 0o600) {
  using folder = new ChainFolder();
  const file = folder.write("config.toml", text, mode);
  const config = readSdkConfig(file);
  using pin = readSdkPin(config);
  return { config, pin: pin?.expose((bytes) => bytes.toString("latin1")), folder: folder.path };
}

describe("a client's config.toml", () => {
  it("is read as the java-sdk's sample has it, with the PIN apart", () => {
    const { config, pin, folder } = read(sample);
    assert.equal(pin, "12345678");
    assert.deepEqual(config.hsm, { libraries: ["/usr/local/lib/libgmt0018.so"], keyIndex: 43, hasPin: true });
    assert.deepEqual(config.network.peers, [
      { host: "127.0.0.1", port: 20200 },
      { host: "127.0.0.1", port: 20201 },
    ]);
    assert.equal(config.tls?.caCertificate, `${folder}/conf/ca.crt`);
    assert.equal(JSON.stringify(config).includes("12345678"), false);
  });

  it("takes bare values, a PIN in a file of its own, and no TLS", () => {
    using folder = new ChainFolder();
    folder.write("pin", "secret pin\n");
    const text = sample
      .replace('hsmPassword = "12345678"', 'hsmPasswordFile = "pin"\nhsmProfile="sansec"')
      .replace('"43"', "43")
      .replace('disableSsl = "false"', "disableSsl = true")
      .replace('hsmLibPath = "/usr/local/lib/libgmt0018.so"', "");
    const config = readSdkConfig(folder.write("config.toml", text));
    assert.equal(config.tls, undefined);
    assert.deepEqual(config.hsm?.libraries, ["/usr/local/lib/libgmt0018.so", "libgmt0018.so"]);
    assert.equal(config.hsm?.profile, "sansec");
    using pin = readSdkPin(config);
    assert.ok(pin?.equals(Buffer.from("secret pin")));
  });

  it("without a cipher machine has the account's key in a file", () => {
    const { config, pin } = read('[network]\npeers=["a:1"]\n[account]\naccountFilePath="account/a.pem"');
    assert.equal(config.hsm, undefined);
    assert.equal(pin, undefined);
    assert.match(config.accountFile ?? "", /account\/a\.pem$/);
  });

  const refusals: readonly (readonly [string, string, string, RegExp])[] = [
    ["an unknown table", "[threadPool]", "[thread]", /no table \[thread\] is known/],
    [
      "a table by the name of what every object has",
      "[threadPool]",
      "[constructor]",
      /no table \[constructor\] is known/,
    ],
    ["an unknown key", "hsmKeyIndex", "hsmIndex", /has no key hsmIndex/],
    ["no index", 'hsmKeyIndex = "43"', "", /hsmKeyIndex takes a whole number from 1/],
    ["index 0", '"43"', '"0"', /whole number from 1/],
    ["an index that is no number", '"43"', '"43x"', /whole number/],
    ["a cipher machine on a chain without SM", 'useSMCrypto = "true"', "", /enableHsm needs useSMCrypto/],
    ["a flag that is none", 'enableHsm = "true"', 'enableHsm = "yes"', /"true" or "false"/],
    ["a list for a text", 'certPath = "conf"', "certPath = []", /certPath takes a text/],
    ["a relative library", "/usr/local/lib", "lib", /absolute path/],
    ["no peers", "peers=", "# peers=", /takes a list of 1 to 100/],
    ["a peer without a port", "127.0.0.1:20201", "127.0.0.1", /HOST:PORT/],
    ["a p12 account", '"HSM"', '"p12"', /takes pem, or HSM/],
    ["two places of the PIN", "[network]", 'hsmPasswordFile="x"\n[network]', /one of them/],
    ["the PIN twice", "[network]", 'hsmPassword="x"\n[network]', /hsmPassword is not one line/],
    ["the PIN under a key in quotes", "hsmPassword =", '"hsmPassword" =', /hsmPassword is not one line/],
    ["the PIN in single quotes", '"12345678"', "'12345678'", /hsmPassword is not one line/],
    ["the PIN with an escape", "12345678", "1234\\u0035678", /hsmPassword is not one line/],
    ["the PIN in another table", "[network]", '[network]\nhsmPassword="x"\n', /hsmPassword is not one line/],
    ["text that is not TOML", "[network]", "[network", /is not TOML/],
  ];
  for (const [what, from, to, message] of refusals)
    it(`is refused with ${what}, and without showing the PIN`, () => {
      assert.notEqual(sample.replace(from, to), sample);
      assert.throws(
        () => read(sample.replace(from, to)),
        (error) =>
          error instanceof ChainBuildError &&
          error.code === "CONFIG_INVALID" &&
          message.test(error.message) &&
          !String(error.stack).includes("12345678"),
      );
    });

  it("with a PIN in it is refused when others may read it", () => {
    assert.throws(() => read(sample, 0o644), { code: "FILE_UNSAFE" });
    for (const file of ["/nowhere/config.toml", "/dev/zero", "/tmp"])
      assert.throws(() => readSdkConfig(file), { code: "FILE_UNUSABLE" });
  });

  it("of any bytes is read or refused, never anything else", () => {
    using folder = new ChainFolder();
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), fc.nat(sample.length), (noise, at) => {
        const file = folder.write("config.toml", sample.slice(0, at) + noise + sample.slice(at));
        try {
          readSdkPin(readSdkConfig(file))?.[Symbol.dispose]();
        } catch (error) {
          assert.ok(error instanceof ChainBuildError, String(error));
        }
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});
