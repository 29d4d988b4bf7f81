import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { SessionMsgSchema } from "../../../../src/enclave/messages/generated/fpc/tl_session_pb.ts";
import { RequesterSession } from "../../../../src/enclave/trusted-ledger/session/requester.ts";
import {
  readSessionMessage,
  writeSessionMessage,
} from "../../../../src/enclave/trusted-ledger/session/session-message.ts";
import { assertRefused, bytes, forged, Host, refusalIn, requesterSettings } from "./carried-session.ts";

suite("an open session refuses", () => {
  test("a request sent again, an older one, and one of another session", async () => {
    const host = new Host();
    const one = await RequesterSession.open(host.carry, requesterSettings());
    const two = await RequesterSession.open(host.carry, requesterSettings());
    await one.request(bytes("first"));
    const first = host.sent.at(-1) ?? Buffer.alloc(0);
    await one.request(bytes("second"));
    const second = host.sent.at(-1) ?? Buffer.alloc(0);
    for (const message of [first, second]) assert.match(refusalIn(await host.responder.handle(message)), /^REPLAY/);
    await two.request(bytes("other"));
    const other = readSessionMessage(host.sent.at(-1) ?? Buffer.alloc(0)).payload;
    assert.ok(other.case === "txReq");
    const moved = forged(second, (payload) => {
      assert.ok(payload.case === "txReq");
      payload.value.sessionId = other.value.sessionId;
    });
    assert.match(refusalIn(await host.responder.handle(moved)), /^BAD_SIGNATURE/);
  });

  test("a request that was overtaken by a later one", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    let held: Buffer = Buffer.alloc(0);
    host.request = (message) => {
      held = message;
      return Buffer.alloc(0);
    };
    await assert.rejects(session.request(bytes("kept back")));
    host.request = (message) => message;
    await session.request(bytes("later"));
    assert.match(refusalIn(await host.responder.handle(held)), /^REPLAY/);
  });

  test("an answer to an earlier request, and one of another session", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    await session.request(bytes("first"));
    const old = host.received.at(-1) ?? Buffer.alloc(0);
    host.response = () => old;
    await assertRefused(session.request(bytes("second")), "REPLAY");
    host.response = (message) => message;
    const other = await RequesterSession.open(host.carry, requesterSettings());
    host.response = () => old;
    await assertRefused(other.request(bytes("third")), "BAD_SIGNATURE");
  });

  test("its own request sent back, and a request's MAC on an answer", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    host.response = () => host.sent.at(-1) ?? Buffer.alloc(0);
    await assertRefused(session.request(bytes("one")), "BAD_SIGNATURE");
  });

  test("a changed bit in any byte of a request or an answer", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    await session.request(bytes("measure"));
    const request = host.sent.at(-1)?.length ?? 0;
    const response = host.received.at(-1)?.length ?? 0;
    const flip = (message: Buffer, at: number) => {
      const changed = Buffer.from(message);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      return changed;
    };
    for (let at = 0; at < request; at += 1) {
      host.request = (message) => flip(message, at);
      await assert.rejects(session.request(bytes("measure")), `request at ${at}`);
    }
    host.request = (message) => message;
    for (let at = 0; at < response; at += 1) {
      host.response = (message) => flip(message, at);
      await assert.rejects(session.request(bytes("measure")), `answer at ${at}`);
    }
  });

  test("a request to close that is not the requester's", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    await session.request(bytes("one"));
    const { payload } = readSessionMessage(host.sent.at(-1) ?? Buffer.alloc(0));
    assert.ok(payload.case === "txReq");
    const close = { case: "clsReq", value: { sessionId: payload.value.sessionId } } as const;
    for (const key of [undefined, Buffer.alloc(32)])
      assert.match(refusalIn(await host.responder.handle(writeSessionMessage(close, key))), /^BAD_SIGNATURE/);
    assert.ok(await session.request(bytes("two")));
  });

  test("a message of the ledger enclave's own kinds, an empty one and noise", async () => {
    const { responder } = new Host();
    const answerKinds = writeSessionMessage({ case: "clsRsp", value: { sessionId: 1n } }, undefined);
    const empty = toBinary(SessionMsgSchema, create(SessionMsgSchema));
    for (const message of [answerKinds, empty, Buffer.alloc(0), bytes("noise"), Buffer.alloc(2 << 20)])
      assert.match(refusalIn(await responder.handle(message)), /^MALFORMED/);
  });
});
