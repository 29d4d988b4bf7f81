import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { InstanceInTest, skip } from "../instance/served-instance.ts";
import { AttackedInstance } from "./attacked-instance.ts";
import { attacksOnKeys } from "./attacks-on-keys.ts";

const reasons =
  /key table cannot be trusted|does not belong to this key table|key table .* missing|there is no key table|does not open the header|another master key than/;

describe("an instance whose keys were changed by somebody without them", { skip }, () => {
  let attacked: AttackedInstance;
  const others: InstanceInTest[] = [];
  before(async () => {
    attacked = await AttackedInstance.make();
  });
  after(async () => {
    await attacked.remove();
    for (const each of others) await each.remove();
  });

  it("is not served when its keys or their table were changed or are another instance's", async () => {
    const sameMaster = await attacked.another();
    const otherMaster = await InstanceInTest.make();
    others.push(otherMaster);
    await otherMaster.start();
    await otherMaster.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    await otherMaster.write("enc", "m v=1i 1700438400000000000");
    await otherMaster.end();
    for (const [what, attack] of attacksOnKeys(attacked, { sameMaster, otherMaster: otherMaster.data })) {
      const outcome = await attacked.after(attack);
      assert.ok(outcome.refused !== undefined, `${what}: ${JSON.stringify(outcome)}`);
      assert.match(outcome.refused, reasons, what);
    }
  });
});
