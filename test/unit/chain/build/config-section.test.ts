import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigSections } from "../../../../src/chain/build/config-section.ts";
import { parseIni } from "../../../../src/chain/build/ini.ts";

const known = { p2p: { used: ["listen_ip"], unused: [] }, txpool: { used: [], unused: "any" } } as const;

describe("the sections of a configuration", () => {
  for (const section of ["constructor", "toString", "hasOwnProperty", "__proto__"])
    it(`are refused by the name [${section}], which every object has`, () => {
      for (const text of [`[${section}]\n`, `[${section}]\nname=x\n`])
        assert.throws(() => new ConfigSections(parseIni(Buffer.from(text), "config.ini"), "config.ini", known), {
          code: "CONFIG_INVALID",
          message: `config.ini: no section [${section}] is known`,
        });
    });
});
