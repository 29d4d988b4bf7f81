import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";
import { KeyManagerFolder, runStrongroom, startServer } from "../../running-server.ts";

const pin = "PIN-canary-11223";

describe("a superKey in an envelope", { skip: sdfCardMissing() }, () => {
  it("is opened for a key manager only by a device of the devices.toml that an administrator trusted", async () => {
    using card = makeTestCard(pin);
    using manager = await KeyManagerFolder.make();
    card.admin("generate", "1");
    const inFolder = (name: string, text: string) => {
      const path = join(manager.dataDir, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    inFolder("card.pin", pin);
    const entry = `[[device]]\nname = "card-1"\nkind = "sdf"\nlibrary = "${card.library}"\nkey_indices = [1]\npin_file = "card.pin"\n`;
    inFolder("devices.toml", entry);
    const envelope = join(manager.folder, "super.envelope");
    const secret = ["--secret-file", inFolder("super", "123xyz"), "--out", envelope];
    const sealed = await runStrongroom([
      ...["device", "envelope", "card-1", "--key-index", "1", "--data", manager.dataDir],
      ...secret,
    ]);
    assert.equal(sealed.code, 0, sealed.stderr);
    const opened = ["--fisco-super-key-device", "card-1", "--fisco-super-key-envelope", envelope];
    const fisco = ["--fisco", "127.0.0.1:0", ...opened];
    const serve = ["serve", "--native", "127.0.0.1:0", ...fisco, ...manager.options];

    const untrusted = await runStrongroom(serve);
    assert.equal(untrusted.code, 5, untrusted.stderr);
    assert.match(untrusted.stderr, /no administrator trusted/);

    assert.equal((await runStrongroom(["device", "trust", ...manager.options])).code, 0);
    await using server = await startServer(manager, fisco);
    assert.equal((await server.stop()).code, 0);

    inFolder("devices.toml", `${entry}# changed\n`);
    const changed = await runStrongroom(serve);
    assert.equal(changed.code, 5, changed.stderr);
  });
});
