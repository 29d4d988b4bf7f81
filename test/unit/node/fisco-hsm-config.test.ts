import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { fiscoConfigWithPin } from "../../../src/node/fisco-hsm-config.ts";
import { fiscoHsmPin } from "../../../src/node/key-formats/fisco-hsm-pin.ts";
import { NodeFolder } from "./fake-key-manager.ts";

function withPin(config: string, pin = "12345678"): string {
  using folder = new NodeFolder();
  using secret = SecretBuffer.copyOf(Buffer.from(pin));
  using text = fiscoConfigWithPin(folder.write("config.ini", config), secret);
  return text.expose((bytes) => bytes.toString("latin1"));
}

describe("config.ini with the PIN of a cipher machine", () => {
  it("has the PIN in [security], in the place of password_file, and nothing else changed", () => {
    const config =
      "[p2p]\n    listen_port=1\n[security]\n    enable_hsm=true\n    password_file=conf/x\n[log]\npassword=kept\n";
    assert.equal(
      withPin(config),
      "[p2p]\n    listen_port=1\n[security]\npassword=12345678\n    enable_hsm=true\n[log]\npassword=kept\n",
    );
  });

  it("drops another PIN and a comment's look-alike stays", () => {
    assert.equal(
      withPin("[security]\r\npassword = old\r\n;password=x"),
      "[security]\r\npassword=12345678\n;password=x",
    );
  });

  it("takes a PIN with its line end, and a last line without one", () => {
    assert.equal(withPin("[security]", "1234\n"), "[security]\npassword=1234\n");
  });

  it("is refused without [security], and when there is no config.ini", () => {
    assert.throws(() => withPin("[securityx]\n[p2p]\n"), { code: "FILE_UNUSABLE", message: /no \[security\]/ });
    assert.throws(() => withPin(""), { code: "FILE_UNUSABLE" });
    using pin = SecretBuffer.copyOf(Buffer.from("1"));
    assert.throws(() => fiscoConfigWithPin("/nowhere/config.ini", pin), { code: "FILE_UNUSABLE" });
  });
});

describe("a sealed PIN", () => {
  it("is one line of at most 256 bytes", () => {
    const read = (text: string) => {
      using secret = SecretBuffer.copyOf(Buffer.from(text));
      return fiscoHsmPin.readPublicIdentity(secret);
    };
    assert.deepEqual(read("12345678\n"), { algorithm: "none" });
    for (const text of ["\n", "1\n2", "1\u00002", "x".repeat(257), "1\r\n", " 1", "1 \n"])
      assert.throws(() => read(text), { code: "KEY_FILE_INVALID" });
  });
});
