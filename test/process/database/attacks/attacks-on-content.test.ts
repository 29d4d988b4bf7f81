import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { skip } from "../instance/served-instance.ts";
import { AttackedInstance, type Outcome } from "./attacked-instance.ts";
import { attacksOnContent } from "./attacks-on-content.ts";

/** What the volume's server tells of damage. */
const told = /strongroom: damaged: /;

describe("an instance whose folder was changed by somebody without its keys", { skip }, () => {
  let attacked: AttackedInstance;
  before(async () => {
    attacked = await AttackedInstance.make();
  });
  after(() => attacked.remove());

  /** Whatever is given is right, that something is missing is told, and from then on clients get an error instead. @returns Whether something was noticed. */
  function mustNotBeWrong(what: string, outcome: Outcome): boolean {
    const { refused, values, failed, isOpenAboutLoss, printed } = outcome;
    const said = `${what}: ${JSON.stringify(outcome)}`;
    assert.ok(isOpenAboutLoss, said);
    const right = attacked.values.filter((value) => values.includes(value));
    assert.deepEqual(values, right, said);
    const noticed = refused !== undefined || told.test(printed);
    if (failed === undefined && values.length < attacked.values.length) assert.ok(noticed, said);
    assert.doesNotMatch(printed, /\benc\b|autogen/, said);
    return noticed;
  }

  it("gives all that was written when nothing was changed", async () => {
    const outcome = await attacked.after(() => {});
    assert.deepEqual(outcome.values, attacked.values, JSON.stringify(outcome));
    assert.doesNotMatch(outcome.printed, told);
  });

  it("gives no wrong value, and tells of the damage, whatever was done to its files and folders", async () => {
    for (const [what, attack] of attacksOnContent(attacked)) {
      const outcome = await attacked.after(attack);
      assert.ok(mustNotBeWrong(what, outcome), `${what}: not noticed`);
    }
  });
});
