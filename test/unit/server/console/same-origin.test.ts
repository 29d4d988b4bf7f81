import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkHost, checkSameOrigin, securityHeaders } from "../../../../src/server/console/same-origin.ts";

const code = (expected: string) => (error: { code?: string }) => error.code === expected;

describe("which requests are the console's own", () => {
  const names = new Set(["km.bank.example", "127.0.0.1", "::1"]);

  it("take the names of the certificate as host, with any port", () => {
    for (const host of ["km.bank.example", "KM.bank.example:8444", "127.0.0.1:1", "[::1]:8444"]) checkHost(host, names);
  });

  it("refuse every other host name", () => {
    for (const host of [
      undefined,
      "",
      "evil.example",
      "km.bank.example.evil.example",
      "km.bank.example@evil.example",
      "km.bank.example:8444/x",
      "127.0.0.1.evil.example",
      "[::1",
      "km.bank.example, evil.example",
    ])
      assert.throws(() => checkHost(host, names), code("HOST_UNKNOWN"), String(host));
  });

  const host = "km.bank.example:8444";
  const own = `https://${host}`;

  it("take a change with the page's own origin, and a read with or without one", () => {
    checkSameOrigin("POST", { host, origin: own });
    checkSameOrigin("POST", { host, origin: own, "sec-fetch-site": "same-origin" });
    checkSameOrigin("GET", { host });
    checkSameOrigin("GET", { host, "sec-fetch-site": "same-origin" });
  });

  it("refuse a change without an origin, and everything that comes from elsewhere", () => {
    for (const [method, headers] of [
      ["POST", {}],
      ["POST", { origin: "null" }],
      ["POST", { origin: `http://${host}` }],
      ["POST", { origin: "https://km.bank.example" }],
      ["POST", { origin: "https://km.bank.example:8444.evil.example" }],
      ["POST", { origin: own, "sec-fetch-site": "same-site" }],
      ["POST", { origin: own, "sec-fetch-site": "cross-site" }],
      ["DELETE", {}],
      ["GET", { "sec-fetch-site": "cross-site" }],
      ["GET", { "sec-fetch-site": "none" }],
      ["GET", { origin: "https://evil.example" }],
    ] as const)
      assert.throws(() => checkSameOrigin(method, { host, ...headers }), code("CROSS_SITE"), JSON.stringify(headers));
  });

  it("are answered under a policy that lets nothing but the page's own files run", () => {
    const policy = securityHeaders[securityHeaders.indexOf("content-security-policy") + 1] ?? "";
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!/unsafe|\*|https?:|nonce|sha256/.test(policy));
  });
});
