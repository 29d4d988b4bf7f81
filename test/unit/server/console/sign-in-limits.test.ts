import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, it } from "node:test";
import type { Caller, CustodyService } from "../../../../src/custody/service.ts";
import { type ConsoleDispatchOptions, consoleDispatcher } from "../../../../src/server/console/dispatch.ts";
import { OneTimeCodes } from "../../../../src/server/console/one-time-codes.ts";
import { Sessions } from "../../../../src/server/console/sessions.ts";
import { SignIn } from "../../../../src/server/console/sign-in.ts";

const stranger: Caller = { principal: "", door: "console", peer: "192.0.2.7", requestId: "test" };

describe("guesses at a one-time code", () => {
  it("are counted however many began before the first of them was answered", async () => {
    let guesses = 0;
    class CountedCodes extends OneTimeCodes {
      override redeem(typed: Uint8Array): string | undefined {
        guesses += 1;
        return super.redeem(typed);
      }
    }
    const signIn = new SignIn({
      custody: { isEnabled: () => true } as unknown as CustodyService,
      codes: new CountedCodes(),
      sessions: new Sessions({ isEnabled: () => true }),
      certificate: () => undefined,
      clock: () => 0,
      nowMs: () => 0,
    });
    const bodies: Buffer[] = [];
    const arrived = Promise.withResolvers<void>();
    const attempts = Array.from({ length: 100 }, () =>
      signIn.withCode(stranger, async () => {
        await arrived.promise;
        const body = Buffer.from("0000-0000-0000");
        bodies.push(body);
        return body;
      }),
    );
    arrived.resolve();
    const codes = (await Promise.allSettled(attempts)).map((each) => each.status === "rejected" && each.reason.code);
    assert.equal(codes.filter((code) => code === "SIGN_IN_REFUSED").length, guesses);
    assert.equal(codes.filter((code) => code === "TOO_MANY_ATTEMPTS").length, 100 - guesses);
    assert.ok(guesses <= 10, `${guesses} guesses`);
    assert.equal(bodies.length, 100);
    assert.ok(bodies.every((body) => body.every((byte) => byte === 0)));
  });
});

describe("a peer of the console", () => {
  it("has its IPv4 address also where the console listens on IPv6, in sign-in and in refusals", async () => {
    const peers: string[] = [];
    const options = {
      hostNames: new Set(["km.example"]),
      custody: { countRefusal: (_: string, peer: string) => void peers.push(peer) },
      signIn: {
        withCode: (caller: Caller) => {
          peers.push(caller.peer);
          return Promise.reject(new Error("seen"));
        },
      },
      observer: { request: () => {} },
      onUnexpected: () => {},
      closing: () => false,
    } as unknown as ConsoleDispatchOptions;
    const dispatch = consoleDispatcher(options);
    for (const origin of ["https://km.example", "https://evil.example"]) {
      const answered = Promise.withResolvers<void>();
      const request = {
        method: "POST",
        url: "/api/sign-in/code",
        headers: { host: "km.example", origin },
        socket: { remoteAddress: "::ffff:192.0.2.7" },
        complete: true,
      };
      const response = { writeHead: () => response, end: () => answered.resolve() };
      dispatch(request as unknown as IncomingMessage, response as unknown as ServerResponse & { req: IncomingMessage });
      await answered.promise;
    }
    assert.deepEqual(peers, ["192.0.2.7", "192.0.2.7"]);
  });
});
