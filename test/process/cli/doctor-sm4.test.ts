import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";

const main = join(import.meta.dirname, "../../../src/cli/main.ts");

interface Finding {
  readonly check: string;
  readonly state: "ok" | "missing" | "bad";
  readonly detail: string;
}

/** What `strongroom doctor` says of SM4 with this in the environment. */
function sm4Findings(forced: string | undefined): {
  readonly findings: readonly Finding[];
  readonly code: number | null;
} {
  const { STRONGROOM_SM4: _, ...environment } = process.env;
  const { stdout, status } = spawnSync(process.execPath, [main, "doctor", "--json"], {
    env: forced === undefined ? environment : { ...environment, STRONGROOM_SM4: forced },
    encoding: "utf8",
  });
  const all: readonly Finding[] = JSON.parse(stdout);
  return { findings: all.filter(({ check }) => check.includes("SM4")), code: status };
}

describe("strongroom doctor, on SM4", () => {
  it("names one implementation that runs, and for each better one why it does not", () => {
    const { findings } = sm4Findings(undefined);
    const [first, ...passedOver] = findings;
    assert.equal(first?.check, "SM4");
    assert.equal(first?.state, "ok");
    for (const { check, state, detail } of passedOver) {
      assert.equal(check, "faster SM4");
      assert.equal(state, "missing");
      assert.match(detail, /^\S+.* is not used: ./);
    }
  });

  it("names the one that STRONGROOM_SM4 asks for", () => {
    assert.deepEqual(
      sm4Findings("wasm").findings.map(({ state, detail }) => [state, detail]),
      [["ok", "WebAssembly with relaxed-simd128"]],
    );
    assert.deepEqual(
      sm4Findings("openssl").findings.map(({ state, detail }) => [state, detail]),
      [["ok", `OpenSSL ${process.versions.openssl}`]],
    );
  });

  it("finds fault with a name that is none", () => {
    const { findings, code } = sm4Findings("fastest");
    assert.deepEqual(
      findings.map(({ state }) => state),
      ["bad"],
    );
    assert.match(findings[0]?.detail ?? "", /STRONGROOM_SM4/);
    assert.equal(code, 1);
  });
});
